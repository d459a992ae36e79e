"""One training run: from a split cohort and a recipe to a folder with checkpoints, curves and weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger
from torch.utils.data import DataLoader

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.model.memory import channels_last, use_checkpoints
from insula.model.network import Network
from insula.prep.cache import Prepared, build_all
from insula.train import checkpoints, hard_negatives, same_run
from insula.train.data import Collate, Sample, SliceDataset, check_classes, labels, samples
from insula.train.distil import Teacher
from insula.train.lines import BatchBar, EpochLines, curves, quiet_lightning
from insula.train.losses import label_facts
from insula.train.module import TrainingModule
from insula.train.pace import Pace, Patience, best_weights, several_parts, total_epochs
from insula.train.precision import here
from insula.train.pretrain_record import refuse_seen
from insula.train.primary import groups
from insula.train.rounds import Rounds
from insula.train.run import Run, Start, keep, shapes
from insula.train.sampling import EpochSampler, balanced_draws, rows_per_process
from insula.train.shuffle import shuffle_labels
from insula.train.stages import plan
from insula.train.stop import stoppable
from insula.train.trackers import check as check_trackers
from insula.train.trackers import loggers


def fit(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    cache: Path,
    *,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
    resume: bool = False,
    prepared: Mapping[str, Prepared] | None = None,
    say: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Callback] = (),
    trackers: Sequence[str] = (),
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    shuffled: bool = False,
    start: Start | None = None,
    teacher: Teacher | None = None,
) -> Run:
    """Train on the cohort's train split, choose the epoch with the lowest loss on its val split.

    prepared: open caches by role that hold these cases already; without them they are built under `cache`. Writes
    `recipe.yaml`, `run.json`, `checkpoints/{best,last}.ckpt`, `curves/metrics.csv` and `weights.safetensors`. The same
    recipe, cohort and machine give the same weights, and so does a run that was stopped anywhere and resumed.
    shuffled: deal the labels of train and val out anew among patients, to see what is learnt of nothing. devices,
    nodes: processes on each machine, and machines; `train.batch` is that of all of them together. start: the network to
    go on with in place of a new one. teacher: whose answers are learnt as well as the labels. Raises TrainingError when
    a split lacks what it needs, StoppedError when Ctrl-C or SIGTERM ended it.
    """
    first = _rank(devices) == 0
    if first:
        _refuse_folder(folder, resume)
    else:
        say = _silent
    check_trackers(trackers)
    _check_accelerator(accelerator)
    for role in recipe.inputs if start is None else ():
        refuse_seen(recipe.model.of(role).pretrained or False, cohort)
    if shuffled:
        cohort = shuffle_labels(cohort, recipe)
        say("The labels are shuffled over patients: whatever is learnt here is no medicine.")
    train_cases, val_cases = cohort.of_split("train"), cohort.of_split("val")
    if not train_cases or not val_cases:
        raise TrainingError(
            f"The cohort has {len(train_cases)} train and {len(val_cases)} val cases; run `insula split` on it first."
        )
    if first:
        same_run.begin(folder, recipe, cohort, resume, shuffled)
        checkpoints.sweep(folder)
    if prepared is None:
        prepared = build_all((*train_cases, *val_cases), Path(cohort.root), recipe, cache, progress)
    rows, val_rows = samples(train_cases, prepared, recipe), samples(val_cases, prepared, recipe)
    check_classes(rows, recipe, "train")
    check_classes(val_rows, recipe, "val")

    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = _network(recipe, rows, prepared) if start is None else start.network
    begun = network.lines(recipe) if start is None else start.line
    said = " and ".join(f"{c}×{h}×{w}" for c, h, w in shapes(prepared).values())
    say(f"{begun} {len(rows)} training inputs, {len(val_rows)} validation inputs of {said}.")

    section, world = recipe.train, devices * nodes
    y, known = labels(rows, recipe)
    patients = [row.patient for row in rows]
    kinds = None
    if section.balance == "class":
        kinds = groups(recipe.target, y[recipe.target_name], known[recipe.target_name])
    draws = None if kinds is None else torch.from_numpy(balanced_draws(kinds, patients))
    facts = label_facts(recipe, y, known, draws)
    for name, target in recipe.targets.items():
        if target.kind == "regression":
            network.heads.set_scale(name, facts[name].mean, facts[name].std)
    if len(rows) < world:
        raise TrainingError(f"{len(rows)} training inputs are too few for {world} processes; take fewer.")
    batch = min(section.batch, len(rows) // world * world)
    hide = section.modality_dropout if recipe.fused else 0.0
    dataset = SliceDataset(rows, prepared, section.slices, recipe.seed, hide)
    sampler = EpochSampler(patients, recipe.seed, batch, classes=kinds, rank=_rank(devices), world=world)
    collate = Collate(recipe, prepared)
    loader = DataLoader(dataset, rows_per_process(batch, world), sampler=sampler, collate_fn=collate)
    val_loader = DataLoader(SliceDataset(val_rows, prepared), section.batch, collate_fn=collate)

    rounds = Rounds(recipe, network, rows, val_rows, prepared, folder / hard_negatives.FILE, sampler, say)
    steps = -(-len(loader) // section.accumulate)
    pace = Pace(network, section, steps, hard=rounds.find, draw=rounds.draw, say=say)
    rounds.shown = pace.shown
    best, newest = checkpoints.keepers(folder)
    patience = Patience(section)
    shown = [*([BatchBar()] if bars and first else []), EpochLines(say)]
    precision = here(section.precision, accelerator)
    say(precision.reason)
    last = folder / checkpoints.FOLDER / "last.ckpt"
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=total_epochs(section),
            precision=precision.name,
            accumulate_grad_batches=section.accumulate,
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=_strategy(recipe, world),
            sync_batchnorm=world > 1 and accelerator != "cpu" and torch.cuda.is_available(),
            use_distributed_sampler=False,
            deterministic=True,
            benchmark=False,
            gradient_clip_val=section.clip or None,
            callbacks=[pace, best, newest, patience, checkpoints.Resumed(patience), *callbacks, *shown],
            plugins=[checkpoints.WholeFiles()],
            logger=[_curves(folder), *loggers(trackers, folder, recipe)],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        module = TrainingModule(network, recipe, facts, teacher)
        go_on = resume and last.is_file()
        with stoppable(trainer, folder):
            trainer.fit(module, loader, val_loader, ckpt_path=last if go_on else None, weights_only=go_on or None)
    if not first or trainer.global_rank != 0:
        sys.exit(0)  # the first process alone writes what came out
    loss = float(best.best_model_score) if best.best_model_score is not None else float("nan")
    if not np.isfinite(loss):
        raise TrainingError(f"The validation loss became {loss}; lower train.lr (now {section.lr}).")
    network.load_state_dict(best_weights(torch.load(best.best_model_path, map_location="cpu", weights_only=True)))
    told: dict[str, Any] = {
        "epochs": trainer.current_epoch,
        "best_val_loss": loss,
        "start": begun,
        "precision": precision.name,
        "processes": world,
        "train_inputs": len(rows),
        "val_inputs": len(val_rows),
    } | ({"shuffled_labels": True} if shuffled else {})
    return keep(folder, recipe, network, prepared, told)


def _refuse_folder(folder: Path, resume: bool) -> None:
    if (folder / checkpoints.FOLDER).exists() and not resume:
        raise TrainingError(f"'{folder}' holds an earlier run; give another --out, or go on with it by --resume.")
    if resume and not (folder / "recipe.yaml").is_file():
        raise TrainingError(f"'{folder}' holds no run to resume; train without --resume.")


def _check_accelerator(name: str) -> None:
    if name in ("gpu", "cuda") and not torch.cuda.is_available():
        raise TrainingError(f"--accelerator {name}: PyTorch sees no GPU here; leave it out, or give cpu.")


def _network(recipe: Recipe, rows: Sequence[Sample], prepared: Mapping[str, Prepared]) -> Network:
    network = Network(recipe, shapes(prepared))
    if network.clinical is not None:
        network.clinical.fit(torch.tensor([row.clinical for row in rows]))
    for encoder in network.encoders.values():
        if recipe.train.checkpoint:
            use_checkpoints(encoder)
    channels_last(network)  # 1.7 times faster convolutions on a CPU
    return network


def _strategy(recipe: Recipe, world: int) -> Any:
    if world == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    some_unused = recipe.fused or several_parts(plan(recipe.train))
    return DDPStrategy(find_unused_parameters=some_unused)


def _curves(folder: Path) -> Logger:
    """Written line by line: a killed run keeps the epochs that it goes on after, and a page can follow."""
    return CSVLogger(folder, name="", version=curves(folder), flush_logs_every_n_steps=1)


def _silent(line: str) -> None:
    """What all processes but the first say."""


def _rank(devices: int) -> int:
    """Number of this process among those that train together, as torchrun, SLURM or Lightning's own launcher says."""
    for name in ("RANK", "SLURM_PROCID"):
        if (text := os.environ.get(name, "")).isdigit():
            return int(text)
    return int(os.environ.get("NODE_RANK", "0")) * devices + int(os.environ.get("LOCAL_RANK", "0"))
