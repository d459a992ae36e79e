"""Predictions that were made elsewhere: a CSV table of case, patient, label and probability, judged without a model.

Columns:
    case         a name of the case, once each
    patient      whose it is; without this column every case counts as a patient of its own
    label        the true class: a class name, or 0 and 1 for two classes; several labels are joined by ';'
    probability  of the positive class, 0 to 1; or one column `p_<class>` a class
    site         optional: where the case comes from
    reader_<name>  optional: what a reader answered (see insula.evaluate.readers)
Other columns are kept as facts about the case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insula.core import provenance
from insula.core.errors import EvaluationError
from insula.core.types import Case
from insula.evaluate import readers, sheet
from insula.evaluate.facts import Facts
from insula.evaluate.readers import Answers
from insula.evaluate.sheet import Row
from insula.evaluate.table import frame
from insula.metrics.aggregate import How
from insula.metrics.probabilities import Kind

if TYPE_CHECKING:
    import pandas as pd

_NAMES = ("negative", "positive")
_FLAGS = {"0": 0, "0.0": 0, "false": 0, "no": 0, "1": 1, "1.0": 1, "true": 1, "yes": 1}
_SUM = 0.01
_SHOWN = 5


@dataclass(frozen=True)
class Question:
    """What the table itself does not say. positive: the class that the headline is about; needed for named classes.

    thresholds: class → threshold that was fixed before; 0.5 where there is none.
    """

    positive: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    aggregate: How = "mean"
    prevalences: tuple[float, ...] = (0.01, 0.05)
    seed: int = 0


@dataclass(frozen=True)
class Predictions:
    """A table of predictions and what it is about. cases: without scans, with labels and the further columns.

    sha256: of the file. patient_ids: the table has a column of patients.
    """

    table: pd.DataFrame
    facts: Facts
    cases: tuple[Case, ...]
    readers: Answers
    patient_ids: bool
    name: str
    sha256: str

    @property
    def id(self) -> str:
        """What stands for the model, which is not at hand: SHA-256 of cases and probabilities, in whatever order."""
        columns = [self.table[f"p_{name}"] for name in self.facts.classes]
        rows = sorted(zip(self.table["case"].astype(str), *columns, strict=True))
        return provenance.sha256_text(text for key, *p in rows for text in (key, *map(repr, map(float, p))))


def load(path: Path, asked: Question = Question()) -> Predictions:
    """Read and check a table of predictions. Raises EvaluationError that names the rows and the rule they break."""
    columns, rows = sheet.read(path)
    missing = [name for name in ("case", "label") if name not in columns]
    by_class = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    if not by_class and "probability" not in columns:
        missing.append("probability")
    if missing:
        raise EvaluationError(
            f"'{path.name}' has no column '{missing[0]}'{_asked(missing[0], columns)}; it needs case, label and "
            "probability (or p_<class> for each class), and patient where patients have several cases."
        )
    if "patient" not in columns and (other := sheet.meant("patient", columns)):
        raise EvaluationError(
            f"'{path.name}' has no column 'patient'{_asked('patient', columns)}; rename it to 'patient', so that cases "
            f"of one patient count together, or call it otherwise if '{other}' is something else."
        )
    if by_class and "probability" in columns:
        raise EvaluationError(
            f"'{path.name}' has both a column probability and columns p_<class>; keep the one or the others."
        )
    if len(by_class) == 1:
        raise EvaluationError(
            f"'{path.name}' has one column of a class, 'p_{by_class[0]}'; name it probability and give "
            f"--positive {by_class[0]}, or add the other classes."
        )
    patient_ids = "patient" in columns
    _full(path.name, rows, ["case", "label", *(["patient"] if patient_ids else [])])
    _once(path.name, rows)
    kind, classes, labels = _labels(path.name, rows, by_class, asked)
    p = _probabilities(path.name, rows, classes, bool(by_class), kind)
    positive = asked.positive or (classes[1] if kind == "binary" else "")
    if positive not in classes:
        raise EvaluationError(f"The positive class is not known; give --positive with one of {', '.join(classes)}.")
    unknown = sorted(set(asked.thresholds) - set(classes))
    if unknown:
        raise EvaluationError(f"There is a threshold for '{unknown[0]}', which is none of {', '.join(classes)}.")
    facts = Facts(
        name=path.stem,
        question=f"The predictions in {path.name}",
        target="label",
        kind=kind,
        classes=classes,
        positive=positive,
        thresholds=dict(asked.thresholds),
        aggregate=asked.aggregate,
        prevalences=asked.prevalences,
        seed=asked.seed,
    )
    keys = [row["case"] for _, row in rows]
    patients = [row["patient"] if patient_ids else row["case"] for _, row in rows]
    known = {"case", "patient", "label", "probability", *(f"p_{name}" for name in by_class)}
    more = [name for name in columns if name not in known and not name.startswith("reader_")]
    cases = tuple(
        Case(key, patient, {}, {"label": present}, {name: row[name] for name in more if row[name]})
        for key, patient, present, (_, row) in zip(keys, patients, labels, rows, strict=True)
    )
    y = np.array([[name in present for name in classes] for present in labels], dtype=bool)
    return Predictions(
        table=frame(keys, patients, p, y, classes),
        facts=facts,
        cases=cases,
        readers=readers.of_columns(columns, rows, path.name),
        patient_ids=patient_ids,
        name=path.name,
        sha256=provenance.sha256_file(path),
    )


def _asked(wanted: str, columns: Sequence[str]) -> str:
    other = sheet.meant(wanted, columns)
    return f" (did you mean '{other}'?)" if other else ""


def _labels(
    name: str, rows: Sequence[tuple[int, Row]], by_class: Sequence[str], asked: Question
) -> tuple[Kind, tuple[str, ...], list[tuple[str, ...]]]:
    """The kind of the question, its classes in column order, and what is present in each row."""
    texts = [row["label"] for _, row in rows]
    parts = [tuple(t for part in text.split(";") if (t := part.strip()) and t != "none") for text in texts]
    if by_class:
        several = any(len(present) != 1 for present in parts)
        _bad(name, rows, lambda i: not set(parts[i]) <= set(by_class), "label", f"one of {', '.join(by_class)}")
        return ("multilabel" if several else "multiclass"), tuple(by_class), parts
    if all(text.lower() in _FLAGS for text in texts):
        classes = ("negative" if not asked.positive else f"no {asked.positive}", asked.positive or _NAMES[1])
        return "binary", classes, [(classes[_FLAGS[text.lower()]],) for text in texts]
    found = sorted(set(texts))
    if asked.positive and asked.positive not in found:
        raise EvaluationError(
            f"'{name}' has no label '{asked.positive}', but {', '.join(found[:8])}; check --positive."
        )
    if not asked.positive:
        raise EvaluationError(
            f"The labels of '{name}' are {', '.join(found[:8])}; say which of them the probability is of, with "
            "--positive NAME, or write 1 and 0."
        )
    if len(found) > 2:
        raise EvaluationError(
            f"'{name}' has {len(found)} labels ({', '.join(found[:8])}) and one column of probabilities; give one "
            "column p_<class> for each of them."
        )
    other = next((label for label in found if label != asked.positive), f"no {asked.positive}")
    return "binary", (other, asked.positive), [(text,) for text in texts]


def _probabilities(
    name: str, rows: Sequence[tuple[int, Row]], classes: Sequence[str], by_class: bool, kind: Kind
) -> np.ndarray:
    if not by_class:
        p = _numbers(name, rows, "probability")
        return np.stack([1.0 - p, p], axis=1)
    table = np.stack([_numbers(name, rows, f"p_{label}") for label in classes], axis=1)
    if kind == "multiclass":
        total = table.sum(axis=1)
        _bad(name, rows, lambda i: abs(total[i] - 1.0) > _SUM, f"p_{classes[0]}", "such that each row's p_ sum to 1")
    return table


def _numbers(name: str, rows: Sequence[tuple[int, Row]], column: str) -> np.ndarray:
    values = np.array([_number(row[column]) for _, row in rows])
    _bad(name, rows, lambda i: not 0.0 <= values[i] <= 1.0, column, "a probability from 0 to 1")
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _full(name: str, rows: Sequence[tuple[int, Row]], columns: Sequence[str]) -> None:
    for column in columns:
        _bad(name, rows, lambda i, column=column: not rows[i][1][column], column, "filled in")  # type: ignore[misc]


def _once(name: str, rows: Sequence[tuple[int, Row]]) -> None:
    seen: dict[str, int] = {}
    for number, row in rows:
        if row["case"] in seen:
            raise EvaluationError(
                f"{name}, rows {seen[row['case']]} and {number}: the case '{row['case']}' stands twice; keep one row."
            )
        seen[row["case"]] = number


def _bad(name: str, rows: Sequence[tuple[int, Row]], wrong: Callable[[int], bool], column: str, rule: str) -> None:
    """Raise EvaluationError with the first five rows that break a rule."""
    bad = [i for i in range(len(rows)) if wrong(i)]
    if bad:
        said = ", ".join(f"{rows[i][0]} ('{rows[i][1][column][:20]}')" for i in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise EvaluationError(f"{name}, column '{column}', row {said}{more}: it must be {rule}.")
