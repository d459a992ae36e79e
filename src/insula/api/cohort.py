"""A cohort from Python: made of a folder, read, checked, split, written, trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from insula.api.named_recipe import AnyRecipe, recipe
from insula.cohort import hold_out as holding
from insula.cohort import split as splitting
from insula.cohort import table as tables
from insula.cohort.gaps import asked
from insula.cohort.index import Hints, survey_cohort
from insula.cohort.table import Notes
from insula.core import types
from insula.core.errors import UsageError
from insula.core.parts import need
from insula.core.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from insula.api.model import Model
    from insula.cohort.check import CheckReport
    from insula.cohort.leaks import LeakReport

_FRACTIONS = (0.7, 0.15, 0.15)
_NO_NOTES = Notes()


@dataclass(frozen=True)
class Cohort(types.Cohort):
    """Cases under one root folder, and what can be done with them; it is never changed, each step gives a new one.

    notes: how its folder was understood and what was left out. table: the file that it was read from or written to.
    """

    notes: Notes = _NO_NOTES
    table: Path | None = None

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        recipe: AnyRecipe,
        *,
        role: str | None = None,
        layout: str = "auto",
        labels: str | Path | None = None,
        label_column: str | None = None,
        suffix: str | None = None,
        patient_pattern: str | None = None,
    ) -> Self:
        """The cases of a folder for a recipe; only headers are read. The options are those of `insula index`.

        role: which input of a recipe with several; the cohorts of its inputs are put together by `join`. Raises
        CohortError for a folder that makes no cohort, UnsuitableScanError where its scans are of another kind.
        """
        question = _question(recipe)
        if role is None and len(question.inputs) > 1:
            raise UsageError(
                f"Recipe '{question.name}' has the inputs {', '.join(question.inputs)}: make a cohort of each by "
                "role=, then join them."
            )
        question = question.only(role or question.role)
        table = None if labels is None else Path(labels)
        made = survey_cohort(Path(folder), question, Hints(patient_pattern, layout, table, label_column, suffix))
        return cls._of(made.cohort, Notes(made.layout, made.why, tuple(made.aside), asked(question)))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The cohort in a table (.parquet or .csv) that `write` or `insula index` wrote.

        Raises CohortError for a missing, foreign or damaged table.
        """
        place = Path(path)
        return cls._of(tables.load(place), tables.load_notes(place), place)

    @classmethod
    def join(cls, *cohorts: types.Cohort) -> Self:
        """Cohorts as one, with all scans of each patient in one case. Raises CohortError and SplitError."""
        from insula.cohort.join import join

        return cls._of(join(cohorts).cohort)

    def write(self, path: str | Path) -> Self:
        """Write the table (.parquet or .csv) with its schema and notes beside it; the same cohort, with its `table`."""
        place = Path(path)
        tables.save(self, place)
        if self.notes.layout:
            tables.save_notes(place, self.notes.layout, self.notes.why, self.notes.aside, self.notes.asked)
        return replace(self, table=place)

    def split(
        self,
        recipe: AnyRecipe,
        *,
        fractions: tuple[float, float, float] = _FRACTIONS,
        level: Literal["patient", "picture"] = "patient",
        hold_out: str | None = None,
        keep_duplicates_together: bool = False,
    ) -> Self:
        """The cohort in train, val and test by patient, each class in proportion; the recipe's seed decides.

        hold_out: test on every patient of one group instead, as "site=NAME". keep_duplicates_together: look for copies
        first (every slice is read) and keep each group in one split. Raises SplitError where a split would leak or a
        class has too few patients.
        """
        question = _question(recipe)
        if hold_out is not None:
            if level == "picture" or keep_duplicates_together:
                raise UsageError("hold_out keeps patients whole; leave level and keep_duplicates_together away.")
            return self._of(holding.hold_out(self, question, *holding.parse(hold_out)), self.notes)
        groups = tuple(group.cases for group in self.leaks("all").groups) if keep_duplicates_together else ()
        return self._of(splitting.split(self, question, fractions, level, groups), self.notes)

    def check(self) -> CheckReport:
        """Read every scan; look for damage, clashing labels, shortcuts, burned-in text and poor quality."""
        from insula.cohort.check import check

        return check(self, notes=self.notes)

    def leaks(self, slices: Literal["middle", "all"] = "middle") -> LeakReport:
        """What the splits share: patients, studies, files, near-duplicate pictures; slices: compared of each scan."""
        from insula.cohort.leaks import find

        return find(self, slices=slices)

    def train(
        self,
        recipe: AnyRecipe,
        out: str | Path,
        *,
        settings: Mapping[str, Any] | None = None,
        cache: str | Path = "runs/cache",
        resume: bool = False,
    ) -> Model:
        """Train on the train split, choose the epoch on val, write `out/bundle`, and open it. Needs PyTorch.

        settings: keys of the recipe to change. cache: where prepared scans are kept, shared by all runs. resume: go on
        from the last checkpoint. Raises MissingPartError without the part `train`, TrainingError for a cohort that
        cannot be trained on.
        """
        need("train", "Training")
        from insula.api.training import train

        return train(self, _question(recipe, settings), Path(out), Path(cache), resume)

    def frame(self) -> pd.DataFrame:
        """One row a case: case, patient, split, one column a target (its classes by ;), and the attributes.

        Raises MissingPartError without the part `evaluate`.
        """
        need("evaluate", "A data frame")
        import pandas as pd

        rows = [
            {"case": case.key, "patient": case.patient, "split": case.split}
            | {target: ";".join(names) for target, names in case.labels.items()}
            | {name: value for name, value in case.attributes.items() if name not in case.labels}
            for case in self.cases
        ]
        return pd.DataFrame(rows, columns=None if rows else ["case", "patient", "split"])

    def __len__(self) -> int:
        return len(self.cases)

    def __repr__(self) -> str:
        patients = len({case.patient for case in self.cases}) if self.patient_ids else "unknown"
        parted = f", split by {self.split_level}" if self.split_level else ""
        return f"Cohort({len(self.cases)} cases, patients: {patients}{parted})"

    @classmethod
    def _of(cls, cohort: types.Cohort, notes: Notes = _NO_NOTES, table: Path | None = None) -> Self:
        given = {one.name: getattr(cohort, one.name) for one in fields(types.Cohort)}
        return cls(**given, notes=notes, table=table)


def opened(cohort: str | Path | types.Cohort) -> types.Cohort:
    """A cohort as it is given: in memory, or by its table."""
    return cohort if isinstance(cohort, types.Cohort) else Cohort.read(cohort)


def _question(given: AnyRecipe, settings: Mapping[str, Any] | None = None) -> Recipe:
    return recipe(given, settings)
