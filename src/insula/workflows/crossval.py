"""Cross-validation: one bundle a fold, every case predicted by a bundle that never saw its fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from insula.cohort.split import folds as make_folds
from insula.core.errors import CohortError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate import further
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.pooled import pool
from insula.evaluate.run import evaluate
from insula.export.ensemble import of_folds
from insula.export.finish import finish
from insula.prep.cache import build_all
from insula.report import folder as written
from insula.train.fit import fit
from insula.train.run import load_run
from insula.train.shuffle import shuffle_labels

Tune = Callable[[Cohort, Path], Recipe]


def crossval(
    cohort: Cohort,
    recipe: Recipe,
    k: int,
    level: str,
    folder: Path,
    cache: Path,
    say: Callable[[str], None],
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
    *,
    tune: Tune | None = None,
    together: Iterable[Sequence[str]] = (),
    shuffled: bool = False,
) -> tuple[EvaluationReport, Path]:
    """Train and evaluate k folds, pool the out-of-fold predictions and write one report over them.

    A fold whose bundle is there already is not trained again, and a fold that was stopped goes on from its last
    checkpoint. level "picture" ignores patients and is labelled as optimistic in every output; by patient, the folds'
    networks are written as one bundle too. tune: gives each fold a recipe of its own, found without the fold's test
    cases; no common bundle is written then. together: groups of case keys that stand in one fold. shuffled: train on
    shuffled labels, as a control; the true ones are what is judged by.
    """
    if level == "patient" and not cohort.patient_ids:
        raise CohortError(
            "The cohort has no patient ids, so folds by patient cannot be made; index it with --patient-pattern."
        )
    reports: list[EvaluationReport] = []
    made: list[Cohort] = []
    for i, fold in enumerate(make_folds(cohort, recipe, k, cast(Literal["patient", "picture"], level), together)):
        home = folder / f"fold-{i}"
        made.append(fold)
        say(f"[fold {i + 1}/{k}] {', '.join(f'{len(fold.of_split(s))} {s}' for s in ('train', 'val', 'test'))} cases")
        if (home / "bundle").is_dir():
            from insula.bundle.load import load

            bundle = load(home / "bundle")
        else:
            own = recipe if tune is None else tune(fold, home / "search")
            prepared = build_all(cohort.cases, Path(cohort.root), own, cache, progress)
            begun = (home / "checkpoints" / "last.ckpt").is_file()
            run = fit(fold, own, home, cache, bars=bars, resume=begun, prepared=prepared, say=say, shuffled=shuffled)
            bundle, _ = finish(run, shuffle_labels(fold, own) if shuffled else fold, home / "bundle")
        report = evaluate(bundle, fold, "test", progress)
        say(f"[fold {i + 1}/{k}] {report.headline}")
        reports.append(report)
    source = {
        "recipe": recipe.name,
        "cohort": Path(cohort.root).name,
        "split": f"{k} folds by {level}",
        "split_level": level,
        "patient_ids": cohort.patient_ids,
        "bundles": [r.source["bundle"] for r in reports],
    } | ({"recipes": "searched within each fold's training patients"} if tune else {})
    if level == "patient" and tune is None and not (folder / "bundle").is_dir():
        say("[ensemble] the networks of all folds as one bundle, decided on the out-of-fold answers")
        prepared = build_all(cohort.cases, Path(cohort.root), recipe, cache, progress)
        runs = [load_run(folder / f"fold-{i}", fold, cache, prepared) for i, fold in enumerate(made)]
        of_folds(runs, made, folder / "bundle")
    result = pool(reports, source)
    result = replace(result, further=further.judge(result.table, recipe, result.patient.replicates))
    return result, written.write_figures(result, folder)
