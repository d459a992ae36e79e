"""`insula pareto`: size, time and accuracy of several forms of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, progress
from insula.core.errors import UsageError
from insula.core.parts import need

if TYPE_CHECKING:
    from insula.core.types import Case

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("bundles", type=_FILE, nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--cohort", type=_FILE, required=True, help="The table of cases.")
@click.option("--split", default="test", show_default=True, help="train, val, test, or all for an outside cohort.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads when timed.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the page.")
@json_option
def pareto(bundles: tuple[Path, ...], cohort: Path, split: str, threads: int, out: Path, as_json: bool) -> None:
    """Hold bundles of one question against the first: megabytes, milliseconds, ROC-AUC, and which no other one beats.

    All are evaluated on the same cases, each at its own threshold; together they count as one look at the split.
    ROC-AUCs are compared with the first one's by DeLong's test, p-values corrected (Holm). Writes pareto.html,
    pareto.md, report.json.
    """
    need("evaluate", "Comparing bundles")
    from insula.evaluate import given, looks, ready
    from insula.evaluate.around import Asked
    from insula.evaluate.compare import of_report
    from insula.evaluate.run import evaluate
    from insula.evaluate.tradeoff import timed, tradeoff
    from insula.infer.predict import Predictor
    from insula.report import tradeoff_page
    from insula.scans.sandbox import shared

    if len(bundles) < 2:
        raise UsageError("One bundle has nothing to be held against; give two or more.")
    names = _names(bundles)
    models, table = [given.bundle(path) for path in bundles], given.cohort(cohort)
    for i, other in enumerate(models[1:], start=1):
        for earlier in range(i):
            ready.check((models[earlier], other), (names[earlier], names[i]), table, split)
    predictors = [Predictor(model, threads, shared().start().read_files) for model in models]
    places = looks.Places(looks.place(cohort, out), looks.register())
    together = {model.id: dict(model.decision.thresholds) for model in models}
    asked = Asked(record=places.record, register=places.register, later=True, together=together)
    entries, seen = [], None
    for name, model, predictor in zip(names, models, predictors, strict=True):
        own = asked if seen is None else replace(asked, record=None, looks=seen)
        report = evaluate(model, table, split, _bar(name), predictor, asked=own)
        seen = seen or report.looks
        entries.append(of_report(name, report))
    times = timed(predictors, table, [case for case in table.cases if split in ("all", case.split)])
    source = {"bundles": [str(path) for path in bundles], "cohort": str(cohort), "split": split}
    found = tradeoff(models, entries, times, threads, seen, source)
    if seen:
        looks.count(places, seen.plan)
    page = tradeoff_page.write(found, out)
    emit(as_json, found.to_dict() | {"report": str(page)}, f"{tradeoff_page.markdown(found)}\nPage: {page}")


def _bar(name: str) -> Callable[[Sequence[Case]], Iterator[Case]]:
    return lambda cases: progress(cases, name, len(cases))


def _names(paths: tuple[Path, ...]) -> tuple[str, ...]:
    """The last parts of the paths, as many as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        found = tuple("/".join(each[-count:]) for each in parts)
        if len(set(found)) == len(found):
            return found
    raise UsageError("A bundle is named twice; give each once.")
