"""One pretraining run: from a cohort's slices, without labels, to an encoder that training can start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.provenance import write_text
from insula.core.recipe import Recipe
from insula.core.recipe_pretrain import Pretrain
from insula.core.types import Case, Cohort
from insula.model.encoders import build_encoder, weights_line
from insula.model.memory import channels_last
from insula.prep.cache import Prepared, build
from insula.train.lines import BatchBar, curves, quiet_lightning
from insula.train.precision import here
from insula.train.pretrain_data import Slice, Views, allowed, slices
from insula.train.pretrain_module import PretrainModule
from insula.train.pretrain_record import WEIGHTS, write_record
from insula.train.sampling import EpochSampler
from insula.train.stop import stoppable

COLLAPSED = 0.01  # spread of the features below which a run is given up
_FEWEST = 8


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining run: the weights' file, its SHA-256, and the last epoch's figures."""

    file: Path
    weights_sha256: str
    epochs: int
    slices: int
    patients: int
    loss: float
    spread: float
    rank: float


def pretrain(
    cohort: Cohort,
    recipe: Recipe,
    section: Pretrain,
    folder: Path,
    cache: Path,
    *,
    role: str = "",
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
    resume: bool = False,
    prepared: Prepared | None = None,
    say: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Callback] = (),
    accelerator: str = "auto",
) -> Pretrained:
    """Pretrain the encoder of one role (by default the first) on the slices that `pretrain_data.allowed` allows.

    prepared: an open cache of the role that holds these cases; without it one is built under `cache`. Writes
    `recipe.yaml`, `checkpoints/last.ckpt`, `curves/metrics.csv`, `pretrain.json` and `encoder.safetensors`, which
    `model.pretrained` takes. The same recipe, cohort and machine give the same weights, and so does a run that was
    stopped and resumed. Raises TrainingError for too few slices, an encoder of volumes, or collapsed features.
    """
    role = role or recipe.role
    if role not in recipe.inputs:
        raise TrainingError(f"The recipe has no input '{role}'; its inputs are {', '.join(recipe.inputs)}.")
    _begin(folder, recipe, resume)
    cases = allowed(cohort, recipe)
    if prepared is None:
        prepared = build(cases, Path(cohort.root), role, recipe.inputs[role], cache, progress)
    rows = slices(cases, prepared)
    if len(rows) < _FEWEST:
        raise TrainingError(f"Pretraining found {len(rows)} slices and needs at least {_FEWEST}; add cases.")
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    module, start = _module(recipe, section, role, prepared)
    patients = {row.patient for row in rows}
    said = "×".join(map(str, prepared.slices.shape[1:]))
    say(f"{start} {len(rows)} slices of {said} from {len(patients)} patients, no labels; method {section.method}.")

    trainer = _trainer(folder, section, bars, say, callbacks, accelerator)
    last = folder / "checkpoints" / "last.ckpt"
    go_on = resume and last.is_file()
    with quiet_lightning():
        loader = _loader(rows, prepared, section, recipe.seed)
        with stoppable(trainer, folder):
            trainer.fit(module, loader, ckpt_path=last if go_on else None, weights_only=go_on or None)
    figures = {k: float(trainer.callback_metrics.get(k, float("nan"))) for k in ("train_loss", "spread", "rank")}
    state = module.cpu().encoder.state_dict()
    save_file({f"encoder.{k}": v.contiguous() for k, v in state.items()}, folder / WEIGHTS)
    digest = write_record(
        folder,
        patients,
        recipe=recipe.name,
        role=role,
        encoder=recipe.model.of(role).encoder,
        start=start,
        section=section.model_dump(mode="json"),
        epochs=trainer.current_epoch,
        slices=len(rows),
        shape=list(prepared.slices.shape[1:]),
        figures={k: v if v == v else None for k, v in figures.items()},
    )
    return Pretrained(
        folder / WEIGHTS,
        digest,
        trainer.current_epoch,
        len(rows),
        len(patients),
        figures["train_loss"],
        figures["spread"],
        figures["rank"],
    )


class Watch(Callback):
    """One line an epoch, and TrainingError where the loss is no number or all features have become alike."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the epoch's figures."""
        found = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.say(
            f"  epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: loss {found['train_loss']:.4f}, "
            f"spread of features {found['spread']:.3f}, effective rank {found['rank']:.1f}"
        )
        if not found["train_loss"] < float("inf"):
            raise TrainingError(f"The loss became {found['train_loss']}; lower pretrain.lr.")
        if not found["spread"] >= COLLAPSED:
            raise TrainingError(
                f"The features have collapsed: their spread is {found['spread']:.4f}, and below {COLLAPSED} all slices "
                "look alike to the encoder; lower pretrain.lr, raise pretrain.batch, or take the other pretrain.method."
            )


def _begin(folder: Path, recipe: Recipe, resume: bool) -> None:
    if (folder / "checkpoints").exists() and not resume:
        raise TrainingError(f"'{folder}' holds an earlier run; give another --out, or go on with it by --resume.")
    if resume and not (folder / "recipe.yaml").is_file():
        raise TrainingError(f"'{folder}' holds no run to resume; pretrain without --resume.")
    write_text(folder / "recipe.yaml", recipes.dump(recipe))


def _module(recipe: Recipe, section: Pretrain, role: str, prepared: Prepared) -> tuple[PretrainModule, str]:
    own = recipe.model.of(role)
    name, start = str(own.encoder), own.pretrained or False
    channels, height, width = (int(n) for n in prepared.slices.shape[1:])
    encoder = build_encoder(name, channels, start, (height, width))
    if encoder.volumetric:
        raise TrainingError(f"'{name}' sees whole volumes, and pretraining takes single slices; choose a 2-D encoder.")
    normalise = own.normalise or recipe.model.normalise
    if len(normalise.mean) not in (1, channels):
        raise TrainingError(
            f"model.normalise has {len(normalise.mean)} values and the prepared scan of '{role}' {channels} channels; "
            "give one value, or one for each channel."
        )
    views = section.views(recipe.train.augment)
    module = PretrainModule(encoder, section, views, normalise, (channels, height, width), recipe.seed)
    channels_last(module)
    return module, weights_line(name, start, getattr(encoder, "loaded", None))


def _loader(rows: Sequence[Slice], prepared: Prepared, section: Pretrain, seed: int) -> DataLoader[torch.Tensor]:
    batch = min(section.batch, len(rows))
    views = Views(rows, prepared, section.neighbours if section.method == "vicreg" else None, seed)
    return DataLoader(views, batch, sampler=EpochSampler([row.patient for row in rows], seed, batch))


def _trainer(
    folder: Path,
    section: Pretrain,
    bars: bool,
    say: Callable[[str], None],
    callbacks: Sequence[Callback],
    accelerator: str,
) -> lightning.Trainer:
    precision = here("auto", accelerator)
    say(precision.reason)
    checkpoint = ModelCheckpoint(folder / "checkpoints", "last", enable_version_counter=False)
    bar = [BatchBar()] if bars else []
    with quiet_lightning():
        return lightning.Trainer(
            max_epochs=section.epochs,
            precision=precision.name,
            accelerator=accelerator,
            devices=1,
            deterministic=True,
            benchmark=False,
            use_distributed_sampler=False,
            gradient_clip_val=section.clip or None,
            callbacks=[checkpoint, *bar, Watch(say), *callbacks],
            logger=CSVLogger(folder, name="", version=curves(folder)),
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
