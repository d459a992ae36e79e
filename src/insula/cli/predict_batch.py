"""`insula predict BUNDLE ARCHIVE --out TABLE`: a folder or a cohort into one table."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, on_terminal

if TYPE_CHECKING:
    from insula.bundle.types import Bundle
    from insula.core.recipe_policy import Source
    from insula.core.types import Cohort
    from insula.infer.batch_record import Counts

_EVERY = 15.0  # seconds between two lines in a log
_COHORTS = (".parquet", ".csv")


@dataclass(frozen=True)
class Choices:
    """What is asked of a batch: sources of uncertainty, dropout passes, cases read at once (or actors of a cluster),
    threads of the network, and the address of a cluster.
    """

    ask: tuple[Source, ...]
    passes: int
    readers: int | None
    threads: int | None
    cluster: str | None


def run(bundle: Bundle, archive: str, out: Path, choices: Choices, as_json: bool) -> None:
    """Run the batch and say what became of it; a run that was stopped goes on when it is called again."""
    from insula.cohort import table
    from insula.infer import archive_store, batch_items
    from insula.infer.batch_record import place

    path, remote = Path(archive), archive_store.is_remote(archive)
    cohort = table.load(path) if not remote and path.is_file() and path.suffix in _COHORTS else None
    if cohort is not None:
        watch = _Progress(sum(len(scan.paths) for case in cohort.cases for scan in case.scans.values()))
    else:
        watch = _Progress(None)
        if not remote:
            batch_items.check_folder(path)
            threading.Thread(target=watch.count, args=(path,), daemon=True).start()
    try:
        counts = _counts(bundle, archive, cohort, out, choices, watch)
    except KeyboardInterrupt:
        click.echo(f"\nStopped; what is done lies in {place(out)}. Run the same command to go on.", err=True)
        sys.exit(130)
    finally:
        watch.end()
    emit(as_json, {"bundle": bundle.id, "table": str(out), **_plain(counts)}, _said(counts, out))


def _counts(
    bundle: Bundle, archive: str, cohort: Cohort | None, out: Path, choices: Choices, watch: _Progress
) -> Counts:
    from insula.infer import archive_store, batch_items
    from insula.infer.batch import batch, shared_out
    from insula.infer.cluster import cluster
    from insula.infer.predict import Predictor
    from insula.scans.sandbox import Sandbox

    where = archive if cohort is None else cohort.root
    if choices.cluster or archive_store.is_remote(where):
        asked: dict[str, Any] = {"ask": choices.ask, "passes": choices.passes, "actors": choices.readers}
        return cluster(bundle, cohort or archive, out, choices.cluster or "", watch=watch, **asked)
    readers = choices.readers or os.cpu_count() or 1
    threads, at_once = shared_out(choices.threads)
    root, recipe = Path(where), bundle.recipe
    with Sandbox(readers).start(readers) as pool:
        predictor = Predictor(bundle, threads, pool.read_files, spins=False)
        items = batch_items.of_cohort(cohort, recipe) if cohort else batch_items.of_folder(root, recipe)
        given: dict[str, Any] = {"ask": choices.ask, "passes": choices.passes, "readers": readers, "at_once": at_once}
        return batch(predictor, items, root, out, watch=watch, **given)


def _plain(counts: Counts) -> dict[str, Any]:
    names = ("rows", "accepted", "referred", "rejected", "failed", "kept", "files")
    return {**{name: getattr(counts, name) for name in names}, "aside": dict(sorted(counts.aside.items()))}


def _said(counts: Counts, out: Path) -> str:
    lines = [
        f"{counts.rows} cases of {counts.files} files: {counts.accepted} accepted, {counts.referred} referred, "
        f"{counts.rejected} rejected, {counts.failed} failed."
    ]
    if counts.kept:
        lines.append(f"{counts.kept} of them were there from an earlier run.")
    if counts.aside:
        lines.append("No scans: " + ", ".join(f"{n} {why}" for why, n in sorted(counts.aside.items())) + ".")
    return "\n".join([*lines, f"Table: {out}", "Research use only."])


class _Progress:
    """Files done, rate and time left; a bar's line on a terminal, a line now and then in a log."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._begun = self._said = time.monotonic()
        self._kept = 0

    def count(self, root: Path) -> None:
        """Find out how many files there are, while the first ones are worked on."""
        from insula.infer.batch_items import count_files

        self.total = count_files(root)

    def __call__(self, counts: Counts) -> None:
        """Say how far the batch is, where it is time to."""
        now = time.monotonic()
        if now - self._said < (0.2 if on_terminal() else _EVERY):
            return
        self._said = now
        fresh = counts.rows - counts.kept
        rate = fresh / max(now - self._begun, 1e-9)
        of = f" of {self.total}" if self.total else ""
        text = f"  {counts.files}{of} files, {counts.rows} cases, {rate:.1f} a second"
        if self.total and fresh and counts.files:
            files_a_second = counts.files * rate / counts.rows
            text += f", {_left((self.total - counts.files) / files_a_second)} left"
        click.echo(f"\r{text:<78}" if on_terminal() else text, err=True, nl=not on_terminal())

    def end(self) -> None:
        """Leave the line."""
        if on_terminal():
            click.echo("", err=True)


def _left(seconds: float) -> str:
    minutes = round(max(seconds, 0) / 60)
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
