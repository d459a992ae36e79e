"""False positives of a finished run among its own training inputs: listed for a person, and drawn more often after."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import lightning
from lightning.pytorch.callbacks import Callback

from insula.core import cells
from insula.core.provenance import write_text
from insula.core.types import Case, Cohort
from insula.prep.cache import Prepared
from insula.train import hard_negatives
from insula.train.data import Sample, samples
from insula.train.rounds import Rounds
from insula.train.run import Run
from insula.train.sampling import EpochSampler, Hard

LIST, LOOK = hard_negatives.FILE, "false-positives.csv"
_HEADER = ("rank", "case", "patient", "slice", "score", "look at")


class Drawn(Callback):
    """Lets the epochs of a run from `start` on (from 0) draw a share of each batch from a list of false positives."""

    def __init__(self, found: Hard, share: float, start: int) -> None:
        self.found, self.share, self.start = found, share, start

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Hand the list to the sampler, after the run's own stages have had theirs."""
        sampler: EpochSampler = trainer.train_dataloader.sampler  # type: ignore[union-attr]
        sampler.hard = self.found if trainer.current_epoch >= self.start else None
        sampler.share = self.share


def find(run: Run, cohort: Cohort, folder: Path, say: Callable[[str], None]) -> Hard:
    """The training inputs without the finding that the run's network calls positive, at the threshold of its val split.

    Written once into the folder, the highest score first: `hard-negatives.csv`, by the row of each training input, and
    `false-positives.csv`, with the file that a person looks at. A list that is there already is read, so that a run
    which was stopped goes on with the same one.
    """
    train = cohort.of_split("train")
    rows = samples(train, run.prepared, run.recipe)
    val_rows = samples(cohort.of_split("val"), run.prepared, run.recipe)
    sampler = EpochSampler([row.patient for row in rows], run.recipe.seed, run.recipe.train.batch)
    rounds = Rounds(run.recipe, run.network, rows, val_rows, run.prepared, folder / LIST, sampler, say)
    found = rounds.find(1, starts=not (folder / LIST).is_file())
    write_text(folder / LOOK, _look(found, rows, {case.key: case for case in train}, run.prepared))
    return found


def _look(found: Hard, rows: Sequence[Sample], cases: Mapping[str, Case], prepared: Mapping[str, Prepared]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_HEADER)
    for rank, (row, score) in enumerate(zip(found.rows.tolist(), found.scores.tolist(), strict=True), start=1):
        one, case = rows[row], cases[rows[row].case]
        files = [_place(scan.paths) for role in one.places for scan in case.scans_of(role)]
        place = _slice(one, case, prepared)
        table.writerow(cells.row((rank, one.case, one.patient, place, f"{score:.4f}", "; ".join(files))))
    return text.getvalue()


def _slice(one: Sample, case: Case, prepared: Mapping[str, Prepared]) -> str:
    """The number of an input's slice among those of its case, from 1, where each slice is an input of its own."""
    role, places = next(iter(one.places.items()))
    whole = prepared[role].bags(case)
    return "" if len(one.places) > 1 or places == whole else str(places[0][0] - whole[0][0] + 1)


def _place(paths: Sequence[str]) -> str:
    """The one file of a scan, or the folder of a series."""
    return paths[0] if len(paths) == 1 else str(PurePosixPath(paths[0]).parent)
