"""Cross-validation: one bundle a fold, every case predicted by a bundle that never saw its fold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, cast

import pandas as pd

from insula.cohort.split import folds as make_folds
from insula.core.errors import CohortError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate.run import evaluate, pooled
from insula.evaluate.types import EvaluationReport
from insula.export.finish import finish
from insula.prep.cache import build
from insula.report.folder import write_pooled
from insula.train.fit import fit


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
) -> tuple[EvaluationReport, Path]:
    """Train and evaluate k folds, pool the out-of-fold predictions and write one report over them.

    A fold whose predictions stand in `fold-<i>/predictions.parquet` already is not trained again, so a stopped run goes
    on where it was. level "picture" ignores patients and is labelled as optimistic in every output.
    """
    if level == "patient" and not cohort.patient_ids:
        raise CohortError(
            "The cohort has no patient ids, so folds by patient cannot be made; index it with --patient-pattern."
        )
    tables: list[pd.DataFrame] = []
    reports: list[EvaluationReport] = []
    build(cohort.cases, Path(cohort.root), recipe.role, recipe.input, cache, progress)
    for i, fold in enumerate(make_folds(cohort, recipe, k, cast(Literal["patient", "picture"], level))):
        home = folder / f"fold-{i}"
        say(f"[fold {i + 1}/{k}] {', '.join(f'{len(fold.of_split(s))} {s}' for s in ('train', 'val', 'test'))} cases")
        if (home / "bundle").is_dir():
            from insula.bundle.load import load

            bundle = load(home / "bundle")
        else:
            run = fit(fold, recipe, home, cache, progress=progress, bars=bars, say=say)
            bundle, _ = finish(run, fold, home / "bundle")
        report = evaluate(bundle, fold, "test")
        say(f"[fold {i + 1}/{k}] done")
        reports.append(report)
        tables.append(report.table.assign(fold=i))
    result = pooled(tables, reports)
    return result, write_pooled(result, folder)
