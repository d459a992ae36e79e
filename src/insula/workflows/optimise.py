"""A smaller network out of a bundle: channels or weights taken out and the rest tuned again, or a student taught anew.

All three end as `insula train` does: a network of the recipe, its graphs held against it on real cases, thresholds and
temperature chosen on the validation split through the engine that will serve it. What it costs is measured there too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.core.errors import BundleError, ExportError, UsageError
from insula.core.provenance import write_json
from insula.core.recipe import Recipe
from insula.core.types import Cohort
from insula.export import cost as costs
from insula.export.cost import MAX_LOSS, Cost, Original
from insula.export.finish import assemble, decide_on, even, facts_of, measure, start
from insula.export.goal import check_goal
from insula.export.parity import check
from insula.model import prune
from insula.model.network import Network
from insula.prep.cache import Prepared
from insula.prep.check import checked
from insula.train import of_bundle, same_run
from insula.train.distil import Teacher
from insula.train.fit import fit
from insula.train.run import WEIGHTS, Run, Start, load_run

EPOCHS, RATE = 10, 0.3
WAY = "optimise.json"
_LIKE_ITS_GRAPH = 8  # cases on which a network from weights has to give what its graph gives


@dataclass(frozen=True)
class Way:
    """How to make it smaller.

    method: "channels", "weights" or "distil". keep: the share of channels or weights that stays. epochs, rate: of the
    tuning that follows, and its learning rate as a share of the recipe's. overrides: of the student's recipe, as
    `--set` has them.
    """

    method: str
    keep: float = 0.5
    epochs: int = EPOCHS
    rate: float = RATE
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Where:
    """What surrounds the work: the prepared cases, how it is timed, when it is refused, and who is told."""

    cache: Path
    prepared: Mapping[str, Prepared]
    threads: int = 1
    max_loss: float = MAX_LOSS
    bars: bool = False
    say: Callable[[str], None] = field(default=lambda line: None)


def check_place(bundle: Bundle, cohort: Cohort, way: Way, out: Path) -> None:
    """UsageError or ExportError where `out` is taken, or the run beside it is another one; asked before the work."""
    check_goal(out, bundle.path)
    _same(_beside(out), _told_of(bundle, cohort, way))


def smaller(bundle: Bundle, cohort: Cohort, way: Way, where: Where, out: Path) -> tuple[Bundle, Cost]:
    """Make a smaller network of a bundle and write it to `out`; its run stands beside it in `<out>.run`.

    A run that was stopped goes on when it is called again. Raises ExportError where the network may lose more than
    `max_loss` of ROC-AUC on the validation patients (the lower end of the paired interval), or has nothing to take out;
    no bundle is written then, and the run stays, to be looked at.
    """
    check_place(bundle, cohort, way, out)
    before = costs.original(bundle, cohort, where.prepared, where.threads)
    run, facts = _run(before, cohort, way, where, _beside(out))
    engine, graphs = start(run.network, run.shapes, run.recipe)
    seen = (*cohort.of_split("val"), *cohort.of_split("train"))
    parity = check(run.network, engine, seen, run.prepared, run.recipe)
    val = measure(engine, cohort.of_split("val"), run.prepared, run.recipe)
    train = measure(engine, even(cohort.of_split("train"), 400), run.prepared, run.recipe)
    decided = decide_on(val, train, run.recipe)
    timed = type(engine).of_graphs(*graphs, run.recipe, where.threads)
    cost = costs.cost(before, way.method, timed, len(graphs[0]), val, decided[0], facts)
    said = f"{_told(way, facts)} {cost.line}"
    where.say(said)
    if cost.worst > where.max_loss:
        raise ExportError(
            f"The smaller network may lose {cost.worst:.4f} of ROC-AUC on the validation patients, and "
            f"{where.max_loss:g} is the most; keep more, tune longer, give more validation patients, or allow more by "
            f"--max-loss. Its run stays in '{run.folder}'."
        )
    weights = (run.folder / WEIGHTS).read_bytes()
    parts = assemble(
        cohort, run.recipe, run.prepared, graphs, weights, decided, (train, val), parity, facts_of(run.folder)
    )
    return save(out, costs.marked(parts, cost, bundle, "Made smaller", said)), cost


def _run(before: Original, cohort: Cohort, way: Way, where: Where, folder: Path) -> tuple[Run, dict[str, Any]]:
    """The finished run of the smaller network, and what the method has to say of itself."""
    networks = _networks(before, cohort, where)
    recipe = _recipe(before.bundle, way)
    if way.method == "distil":
        facts: dict[str, Any] = {"teachers": len(networks), "encoder": str(recipe.model.of(recipe.role).encoder)}
        teacher = Teacher(networks, recipe, before.bundle.recipe)
        begun: Start | None = None
        callbacks: list[Callback] = []
    else:
        teacher = None
        begun, facts, callbacks = _cut(networks, before, way)
    told = _told_of(before.bundle, cohort, way)
    _same(folder, told)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / WAY, told)
    if (folder / WEIGHTS).is_file():
        return load_run(folder, cohort, where.cache, where.prepared), facts
    run = fit(
        cohort,
        recipe,
        folder,
        where.cache,
        prepared=where.prepared,
        bars=where.bars,
        say=where.say,
        resume=(folder / same_run.RECIPE).is_file(),
        callbacks=callbacks,
        start=begun,
        teacher=teacher,
    )
    return run, facts


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.run")


def _recipe(bundle: Bundle, way: Way) -> Recipe:
    return student(bundle.recipe, way.overrides) if way.method == "distil" else tuned(bundle.recipe, way)


def _told_of(bundle: Bundle, cohort: Cohort, way: Way) -> dict[str, Any]:
    """What tells one run from another, as it is read back."""
    told = {"bundle": bundle.id, "cases": same_run.cases(_recipe(bundle, way), cohort), **asdict(way)}
    read: dict[str, Any] = json.loads(json.dumps(told))
    return read


def _same(folder: Path, way: dict[str, Any]) -> None:
    """ExportError where the folder holds a run of something else."""
    path = folder / WAY
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != way:
        raise ExportError(
            f"'{folder}' holds a run of another bundle, cohort or way to make it smaller; remove it, or give another "
            "--out."
        )
    if folder.exists() and not path.is_file():
        raise ExportError(f"'{folder}' is there and no run of this kind; remove it, or give another --out.")


def tuned(recipe: Recipe, way: Way) -> Recipe:
    """The recipe of the tuning after something was taken out: all weights, few epochs, a lower rate."""
    train = {
        "epochs": way.epochs,
        "patience": way.epochs,
        "lr": way.rate * recipe.train.lr,
        "stages": [],
        "hard_negatives": {"rounds": 0},
    }
    content = recipe.model_dump(mode="json", by_alias=True)
    content["train"] |= train
    return checked(recipes.parse(content, recipe.name))


def student(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The teacher's recipe for one network, with changes to its sections `model` and `train`."""
    content = recipe.model_dump(mode="json", by_alias=True)
    content["model"]["members"] = 1
    found = checked(recipes.changed(content, overrides, recipe.name))
    if found.model == recipe.model:
        raise UsageError(
            "The student would be the teacher's own network; give a smaller one, e.g. --set model.encoder=simple_cnn."
        )
    if found.model.members != 1:
        raise UsageError(f"A student is one network, and model.members is {found.model.members}; leave it out.")
    return found


def _networks(before: Original, cohort: Cohort, where: Where) -> tuple[Network, ...]:
    """The bundle's networks, held against its graph: a graph in integers has other weights than it answers by."""
    bundle = before.bundle
    whole = of_bundle.network(bundle, before.engine.input_shapes)
    try:
        check(whole, before.engine, cohort.of_split("val"), where.prepared, bundle.recipe, limit=_LIKE_ITS_GRAPH)
    except ExportError as error:
        raise BundleError(
            f"Bundle {bundle.id} answers by another graph than its weights give, as one in integers does; give the "
            "bundle that it was made from."
        ) from error
    return of_bundle.members(whole)


def _cut(networks: Sequence[Network], before: Original, way: Way) -> tuple[Start, dict[str, Any], list[Callback]]:
    bundle = before.bundle
    if len(networks) > 1:
        raise ExportError(
            f"Bundle {bundle.id} averages {len(networks)} networks; teach one small network by them (--method distil), "
            "or prune the bundle of one member."
        )
    network = networks[0].train()
    facts: dict[str, Any] = {"keep": way.keep, "epochs": way.epochs}
    if way.method == "weights":
        masks = prune.weights(network, way.keep)
        kept, total = (sum(int(f(m)) for m in masks.values()) for f in (torch.count_nonzero, torch.numel))
        facts |= {"zeros": total - kept, "weights": total}
        line = f"Bundle {bundle.id} with {total - kept} of {total} weights of its encoder set to zero."
        return Start(network, line), facts, [KeepZeros(network, masks)]
    done = prune.channels(network, before.engine.input_shapes, way.keep)
    facts |= {"parameters": done.after, "parameters_before": done.before, "groups": done.groups, "left": done.left}
    line = f"Bundle {bundle.id} with {done.after} of {done.before} parameters of its encoder."
    return Start(network, line), facts, []


class KeepZeros(Callback):
    """Weights that were set to zero stay zero while the others are tuned."""

    def __init__(self, network: Network, masks: Mapping[str, torch.Tensor]) -> None:
        self._weights = [(dict(network.named_parameters())[name], mask) for name, mask in masks.items()]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After each step."""
        with torch.no_grad():
            for weight, mask in self._weights:
                weight.mul_(mask.to(weight.device))


def _told(way: Way, facts: Mapping[str, Any]) -> str:
    if way.method == "distil":
        return f"One {facts['encoder']}, taught by {facts['teachers']} network(s):"
    if way.method == "weights":
        return (
            f"{100 * facts['zeros'] / facts['weights']:.0f}% of the encoder's weights are zero, which makes no file "
            "smaller and nothing faster:"
        )
    return f"{facts['parameters']} of {facts['parameters_before']} parameters of the encoder stay:"
