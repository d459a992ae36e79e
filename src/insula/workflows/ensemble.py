"""Networks of several seeds, trained one after another and exported as one bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from insula.bundle.types import Bundle
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.ensemble import of_seeds
from insula.export.finish import finish
from insula.export.parity import Parity
from insula.prep.cache import build_all
from insula.train.fit import fit
from insula.train.run import WEIGHTS, Run, load_run


def train_members(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    cache: Path,
    *,
    say: Callable[[str], None],
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
    resume: bool = False,
    trackers: Sequence[str] = (),
) -> list[Run]:
    """Train `model.members` networks with the seeds `seed`, `seed + 1`, … into `member-0`, `member-1`, …

    With resume, members that are finished are loaded and the one that was stopped goes on.
    """
    seen = (*cohort.of_split("train"), *cohort.of_split("val"))
    prepared = build_all(seen, Path(cohort.root), recipe, cache, progress)
    runs = []
    for i in range(recipe.model.members):
        home = folder / f"member-{i}"
        alone = recipe.model.model_copy(update={"members": 1})  # its own bundle is of one network, and says so
        one = recipe.model_copy(update={"seed": recipe.seed + i, "model": alone})
        say(f"[member {i + 1}/{recipe.model.members}] seed {one.seed}")
        if resume and (home / WEIGHTS).is_file():
            runs.append(load_run(home, cohort, cache))
            continue
        begun = resume and (home / "recipe.yaml").is_file()
        runs.append(
            fit(cohort, one, home, cache, bars=bars, resume=begun, prepared=prepared, say=say, trackers=trackers)
        )
    return runs


def export_members(runs: Sequence[Run], cohort: Cohort, folder: Path) -> tuple[Bundle, Parity]:
    """The ensemble as `bundle`, and each member's own bundle in its folder, to compare with."""
    for run in runs:
        if not (run.folder / "bundle").is_dir():
            finish(run, cohort, run.folder / "bundle")
    return of_seeds(runs, cohort, folder / "bundle")
