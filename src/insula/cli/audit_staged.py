"""`insula audit --staged`: train, audit, put false positives back, sweep dropout, choose by a rule, test once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, on_terminal, progress
from insula.core.errors import UsageError

if TYPE_CHECKING:
    from insula.core.types import Case

FAILED = 1


def run(
    recipe: str,
    cohort: Path,
    out: Path,
    cache: Path,
    split: str,
    checks: tuple[str, ...],
    overrides: tuple[str, ...],
    without: tuple[str, ...],
    dropouts: tuple[float, ...],
    primary: str,
    sanity: bool | None,
    seed: int,
    replicates: int,
    as_json: bool,
) -> None:
    """Carry out the staged audit and tell what came out; exit code 1 where the audit on the test split fails."""
    from insula.cli.training import bar, needs_torch

    if split != "test":
        raise UsageError(
            f"A staged audit trains on train, chooses on val and looks at test once; leave out --split {split}."
        )
    needs_torch()
    from insula.core import recipe as recipes
    from insula.evaluate import given
    from insula.prep.check import checked
    from insula.scans.sandbox import shared
    from insula.workflows import staged_page
    from insula.workflows.staged_audit import staged
    from insula.workflows.staged_plan import CHECKS, DROPOUTS, Asked

    pool = shared().start()
    table = given.cohort(cohort)
    given.check_without(table, without)
    asked = Asked(
        dropouts=dropouts or DROPOUTS,
        checks=checks or CHECKS,
        primary=primary,
        without=without,
        sanity=True if sanity is None else sanity,
        seed=seed,
        replicates=replicates,
    )
    found = staged(
        table,
        checked(recipes.load(recipe, overrides)),
        out,
        cache,
        asked,
        table=cohort,
        reader=pool.read_files,
        say=lambda line: click.echo(line, err=as_json),
        progress=_progress,
        bar=bar,
        bars=on_terminal(),
    )
    page = out / staged_page.PAGE
    text = "\n".join([*staged_page.lines(found.held), f"Page: {page}"])
    emit(as_json, {**found.held, "page": str(page)}, text)
    if found.verdict == "fail":
        sys.exit(FAILED)


def _progress(cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
    return progress(cases, label, total)
