"""`insula audit`: look for reasons why a model is right, or wrong, that have nothing to do with the disease."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option, progress, say
from insula.core.errors import UsageError
from insula.core.parts import need

if TYPE_CHECKING:
    from insula.bundle.types import Bundle
    from insula.core.types import Case

_PATH = click.Path(path_type=Path)
FAILED = 1


@click.command()
@click.argument("given", nargs=-1, type=_PATH, metavar="[BUNDLE] COHORT")
@click.option("--out", required=True, type=_PATH, help="Folder for audit.html, summary.html, audit.json and the cases.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    default="test",
    show_default=True,
    help="Whose cases are audited.",
)
@click.option("--check", "checks", multiple=True, metavar="NAME", help="One part of the audit alone; repeatable.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another limit than the bundle's, e.g. --set audit.robustness.roc_auc=0.03; with --staged any key.",
)
@click.option("--without", multiple=True, metavar="COLUMN", help="A column that holds the answer; repeatable.")
@click.option(
    "--sanity/--no-sanity",
    default=None,
    help="Hold heat against networks with weights drawn anew (needs PyTorch).  [default: where it is installed]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn at random.")
@click.option(
    "--replicates", type=click.IntRange(200, 100_000), default=2000, show_default=True, help="Of each bootstrap."
)
@click.option(
    "--predictions",
    type=_PATH,
    help="A table of predictions made elsewhere, to be held against the bundle's own (columns: see evaluate).",
)
@click.option(
    "--staged",
    metavar="NAME|FILE",
    help="Train by this recipe, audit, put false positives back into training, sweep dropout, choose, test once.",
)
@click.option(
    "--dropout",
    "dropouts",
    multiple=True,
    type=Finite(0, 1, max_open=True),
    help="With --staged: a dropout to try; repeatable.  [default: 0, 0.2, 0.4, 0.6, 0.8]",
)
@click.option(
    "--primary",
    type=click.Choice(["f2", "youden", "specificity", "sensitivity", "ppv", "cost"]),
    help="With --staged: the figure that chooses.  [default: what the recipe's operating point aims at]",
)
@click.option("--cache", type=_PATH, help="With --staged: where prepared scans are kept.  [default: runs/cache]")
@click.option("--bench", is_flag=True, help="Plant faults into made cohorts and count which of them are named.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="With --bench: cohorts of each fault.  [default: 10]")
@click.option("--clean", type=click.IntRange(0, 1000), help="With --bench: cohorts without a fault.  [default: 20]")
@click.option("--first-seed", type=click.IntRange(0), help="With --bench: seed of the first cohort.  [default: 0]")
@click.option("--workers", type=click.IntRange(1, 64), help="With --bench: processes, one seed each.  [default: 1]")
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="With --bench: one fault alone; repeatable.")
@json_option
def audit(
    given: tuple[Path, ...],
    out: Path,
    split: str,
    checks: tuple[str, ...],
    overrides: tuple[str, ...],
    without: tuple[str, ...],
    sanity: bool | None,
    seed: int,
    replicates: int,
    predictions: Path | None,
    staged: str | None,
    dropouts: tuple[float, ...],
    primary: str | None,
    cache: Path | None,
    bench: bool,
    seeds: int | None,
    clean: int | None,
    first_seed: int | None,
    workers: int | None,
    faults: tuple[str, ...],
    as_json: bool,
) -> None:
    """Audit BUNDLE on the cases of COHORT and write what was found to OUT; exit code 1 where a finding fails.

    Every scan is read once and disturbed in the ways that scanners and archives disturb it; its bone is taken away, its
    background and marks are exchanged with other cases'; groups of patients are held against each other, labels against
    the model, and all findings against the limits of the recipe's section `audit`. An audit that was stopped goes on
    where it was when it is called again with the same OUT.

    With --staged RECIPE there is no BUNDLE: networks are trained on COHORT's train split, audited and chosen on val by
    a rule that OUT/plan.json holds before anything is trained, and the chosen one is judged on test.

    With --bench there is neither: cohorts with one planted fault each are made under OUT, a network is trained on each,
    and the page says which faults check, leaks, evaluate and audit name. It takes hours, and goes on where it stopped.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"'{out}' is a file, and --out is a folder; give another name.")
    if bench:
        from insula.cli import audit_bench

        if given or staged is not None:
            raise UsageError("A bench makes its own cohorts and bundles; give --out alone with --bench.")
        first = first_seed or 0
        chosen = range(first, first + (seeds or 10)), range(first, first + (20 if clean is None else clean))
        audit_bench.run(out, *chosen, faults, workers or 1, as_json)
        return
    of_bench = {"--seeds": seeds, "--clean": clean, "--first-seed": first_seed, "--workers": workers, "--fault": faults}
    misplaced = [option for option, there in of_bench.items() if there not in (None, ())]
    if misplaced:
        raise UsageError(f"{misplaced[0]} is for the bench of planted faults; add --bench, or leave it out.")
    if staged is not None:
        from insula.cli import audit_staged

        if len(given) != 1:
            raise UsageError(
                f"Paths given: {len(given)}; with --staged give COHORT alone, since it trains its bundles."
            )
        if predictions:
            raise UsageError("--predictions are held against one bundle, and --staged trains several; leave one out.")
        audit_staged.run(
            staged,
            given[0],
            out,
            cache or Path("runs/cache"),
            split,
            checks,
            overrides,
            without,
            dropouts,
            primary or "",
            sanity,
            seed,
            replicates,
            as_json,
        )
        return
    for name, value in (("--dropout", dropouts), ("--primary", primary), ("--cache", cache)):
        if value:
            raise UsageError(f"{name} is for a staged audit, which trains; add --staged RECIPE, or leave it out.")
    if len(given) != 2:
        raise UsageError(f"Paths given: {len(given)}; give BUNDLE and COHORT, or --staged RECIPE and COHORT alone.")
    bundle, cohort = given
    need("evaluate", "Auditing")
    say("loading: programs, bundle and cohort")  # seconds of imports
    from insula.core.errors import MissingPartError
    from insula.evaluate import given as inputs
    from insula.evaluate import looks
    from insula.evaluate.around import Asked
    from insula.infer.predict import Predictor
    from insula.report import audit_page
    from insula.scans.sandbox import shared
    from insula.workflows.audit import run

    if sanity:
        from importlib.util import find_spec

        if find_spec("torch") is None:
            raise MissingPartError(
                "Drawing weights anew needs PyTorch, which is not installed; run: pip install 'insula[train]', or give "
                "--no-sanity."
            )
    pool = shared().start()
    model, table = _with_limits(inputs.bundle(bundle), overrides), inputs.cohort(cohort)
    inputs.check_without(table, without)
    asked = Asked(
        record=looks.place(cohort, out),
        register=looks.register(),
        plan=out / "evaluation-plan.json",
        baselines=True,
        without=without,
        reading=_reading,
    )
    predictor = Predictor(model, reader=pool.read_files)
    journal = out / "journal"
    theirs = _theirs(predictions, model) if predictions else None
    drawing = (seed, replicates, sanity)
    report, _ = run(model, table, split, checks, asked, predictor, journal, *drawing, theirs, _progress, say)
    say("writing the pages")
    files = audit_page.write(report, out)
    emit(as_json, report.to_dict() | {"report": str(files[0])}, f"{audit_page.summary(report)}\nReport: {files[0]}")
    if report.verdict == "fail":
        sys.exit(FAILED)


def _with_limits(bundle: Bundle, overrides: Sequence[str]) -> Bundle:
    """The bundle with other limits for its audit; UsageError for an override of anything else."""
    from dataclasses import replace

    import yaml

    from insula.core import recipe as recipes

    if not overrides:
        return bundle
    wrong = [text for text in overrides if not text.startswith("audit.")]
    if wrong:
        raise UsageError(f"'{wrong[0]}' is no limit of an audit; only keys of the section 'audit' can be set here.")
    content = yaml.safe_load(recipes.dump(bundle.recipe))
    return replace(bundle, recipe=recipes.changed(content, overrides, bundle.recipe.name))


def _theirs(path: Path, bundle: Bundle) -> dict[str, float]:
    """Case → probability of the positive class in a table made elsewhere."""
    from insula.evaluate import elsewhere

    positive = bundle.recipe.target.positive
    table = elsewhere.load(path, elsewhere.Question(positive=positive)).table
    if f"p_{positive}" not in table.columns:
        named = ", ".join(c.removeprefix("p_") for c in table.columns if c.startswith("p_"))
        raise UsageError(f"'{path.name}' has no probabilities of '{positive}'; it has those of: {named}.")
    return dict(zip(table["case"].astype(str), table[f"p_{positive}"].astype(float), strict=True))


def _reading(cases: Sequence[Case]) -> Iterable[Case]:
    return progress(cases, "read pictures", len(cases))


def _progress(cases: Sequence[Case], label: str, total: int) -> Iterable[Case]:
    return progress(cases, label, total)
