"""The demo: phantom patients through the whole line, from made DICOM files to a report and a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from insula.cohort import check as cohort_check
from insula.cohort import index as cohort_index
from insula.cohort import leaks as cohort_leaks
from insula.cohort import split as cohort_split
from insula.cohort import table
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import TRUTH
from insula.core import recipe as recipes
from insula.core.errors import UsageError
from insula.core.provenance import record, write_json
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate import looks
from insula.evaluate.around import Asked
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import evaluate
from insula.export.finish import finish
from insula.infer.decide import decide
from insula.infer.heatmap import write_case
from insula.infer.predict import Predictor
from insula.prep.cache import build_all
from insula.prep.check import checked
from insula.report import folder as reports
from insula.train.fit import fit
from insula.train.same_run import RECIPE
from insula.workflows import demo_begun
from insula.workflows.demo_finished import DONE
from insula.workflows.stages import Stages

FRACTIONS = (0.6, 0.15, 0.25)


@dataclass(frozen=True)
class Size:
    """How large a demo of one recipe is, chosen so that it learns its phantoms in minutes on two cores."""

    patients: int
    pixels: int
    slices: int
    settings: tuple[str, ...]


_SMALL = ("model.encoder=simple_cnn", "model.pretrained=false", "train.lr=0.002", "train.patience=16")
# From random weights the largest value over slices finds a lesion on few of them; attention takes far longer to learn.
_SERIES = (*_SMALL, "train.batch=2", "train.slices=8", "model.pool=max")
SIZES = {
    "haemorrhage-ct": Size(200, 128, 24, (*_SERIES, "train.epochs=20")),
    "stroke-ct": Size(100, 96, 16, (*_SMALL, "train.epochs=12", "train.batch=32")),
    "brain-tumour": Size(150, 96, 20, (*_SERIES, "train.epochs=24")),
    "clot-origin": Size(120, 128, 8, (*_SMALL, "train.epochs=16", "train.batch=16")),
}


@dataclass(frozen=True)
class Demo:
    """What a demo left behind."""

    folder: Path
    bundle: Path
    page: Path
    report: EvaluationReport
    seconds: dict[str, float]
    example: dict[str, object]


def demo(
    name: str,
    folder: Path,
    say: Callable[[str], None],
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
    patients: int | None = None,
    overrides: tuple[str, ...] = (),
) -> Demo:
    """Run the whole line for one recipe on phantom patients and leave everything under `folder`.

    The same demo goes on where it was stopped, with the patients and epochs that it has. A folder that another demo
    made is replaced; any other folder that is not empty is refused with UsageError.
    """
    size = SIZES.get(name)
    if size is None:
        raise UsageError(f"There is no demo of '{name}'; there is one of: {', '.join(SIZES)}.")
    recipe = _recipe(name, size, overrides)
    stages = Stages(say)
    count = patients or size.patients
    kept = demo_begun.begin(folder, name, count, overrides, say)
    scans = folder / kept
    if not kept:
        with stages.stage("phantom", f"making {count} patients for {name}") as notes:
            scans = make(name, folder / "cohort", count, seed=recipe.seed, size=size.pixels, slices=size.slices)
            notes.append(f"in {scans}")
        demo_begun.patients_made(folder, scans)
    cohort = _cohort(scans, recipe, folder, stages)
    with stages.stage("prepare", "decoding and preparing the training scans once") as notes:
        seen = (*cohort.of_split("train"), *cohort.of_split("val"))
        prepared = build_all(seen, Path(cohort.root), recipe, folder / "cache", progress)
        notes.append(f"{sum(len(cache.rows()) for cache in prepared.values())} slices")
    with stages.stage("train", f"{recipe.model.encoder}, at most {recipe.train.epochs} epochs") as notes:
        home = folder / "run"
        begun = (home / RECIPE).is_file()
        run = fit(cohort, recipe, home, folder / "cache", progress=progress, bars=bars, say=say, resume=begun)
        notes.append(f"{run.epochs} epochs, lowest validation loss {run.best_loss:.3f}")
    with stages.stage("export", "writing the bundle and comparing it with the network") as notes:
        bundle, parity = finish(run, cohort, folder / "bundle")
        notes.append(f"bundle {bundle.id} equals the network within {parity.logits:.1e} on {parity.cases} cases")
    with stages.stage("evaluate", "predicting the test patients with the bundle"):
        predictor = Predictor(bundle)
        counted = looks.place(folder / "cohort.parquet", folder)
        asked = Asked(record=counted, plan=folder / "evaluation-plan.json", baselines=True, without=TRUTH)
        report = evaluate(bundle, cohort, "test", predictor=predictor, asked=asked)
        page = reports.write(report, bundle, cohort, folder, predictor=predictor)
    with stages.stage("explain", "drawing heat maps of one test patient") as notes:
        case = _example(cohort, recipe)
        slices = predictor.prepared(case, Path(cohort.root))
        prediction = predictor.from_slices(slices, case.key, ask=recipe.policy.refer.sources)
        place = folder / "heatmaps" / "example"
        pictures = write_case(prediction, slices, place, recipe, [recipe.target.positive])
        notes.append(f"{len(pictures)} pictures in {place}")
    with stages.stage("predict", "one prediction, as the service gives it") as notes:
        decision = decide(prediction, bundle)
        notes.append(f"{case.key}: {decision.label} ({decision.confidence:.2f}), {decision.action}")
    example: dict[str, object] = {
        "case": case.key,
        "label": decision.label,
        "confidence": decision.confidence,
        "action": decision.action,
        "reasons": list(decision.reasons),
    }
    write_json(folder / DONE, record(recipe=name, patients=count, seconds=stages.seconds, example=example))
    return Demo(folder, bundle.path, page, report, stages.seconds, example)


def _cohort(scans: Path, recipe: Recipe, folder: Path, stages: Stages) -> Cohort:
    with stages.stage("index", "reading headers and labels") as notes:
        cohort = cohort_index.index(scans, recipe)
        notes.append(f"{len(cohort.cases)} cases of {len({c.patient for c in cohort.cases})} patients")
    with stages.stage("split", "by patient, stratified") as notes:
        cohort = cohort_split.split(cohort, recipe, FRACTIONS, "patient")
        table.save(cohort, folder / "cohort.parquet")
        counts = {s: len({c.patient for c in cohort.cases if c.split == s}) for s in ("train", "val", "test")}
        notes.append(", ".join(f"{n} {s}" for s, n in counts.items()))
    with stages.stage("check", "unreadable files, label clashes, leaks") as notes:
        found = cohort_check.check(cohort)
        leaks = cohort_leaks.find(cohort)
        write_json(folder / "check.json", {"check": found.to_dict(), "leaks": leaks.to_dict()})
        notes.append(f"{leaks.verdict}")
    return cohort


def _recipe(name: str, size: Size, overrides: tuple[str, ...]) -> Recipe:
    plain = recipes.load(name, (*size.settings, *overrides))
    content = plain.model_dump(mode="json", by_alias=True)
    for section in content["inputs"].values():
        if section["tiles"]:
            section["tiles"]["size"] = size.pixels
        for step in section["prep"]:
            if step["name"] == "resize":
                step["params"] = {"value": size.pixels}
    return checked(recipes.parse(content, name))


def _example(cohort: Cohort, recipe: Recipe) -> Case:
    positive = [c for c in cohort.of_split("test") if recipe.target.positive in c.labels.get(recipe.target_name, ())]
    return (positive or list(cohort.of_split("test")))[0]
