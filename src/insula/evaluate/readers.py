"""Readers beside the model: a table of their answers, how well each does, and how far they agree."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.evaluate import sheet
from insula.evaluate.evidence import Reader, Readers
from insula.evaluate.facts import Facts, answers
from insula.evaluate.table import Sample, sample
from insula.metrics import agreement, proportion
from insula.metrics.compare import delong_interval, mcnemar
from insula.metrics.intervals import Figure
from insula.metrics.probabilities import exclusive

if TYPE_CHECKING:
    import pandas as pd

Answers = Mapping[str, Mapping[str, str]]
_PREFIX = "reader_"
_NAMED = 3


@dataclass(frozen=True)
class _Read:
    """One reader's rows of the sample and the class given to each."""

    name: str
    rows: NDArray[np.intp]
    given: NDArray[np.intp]


def load(path: Path) -> Answers:
    """Reader → case → answer, from a CSV file with a column `case` and one column a reader, or `case, reader, answer`.

    An answer is a class name (several labels joined by ';'), or 1 and 0 for the positive class and not; an empty cell
    was not read. Raises EvaluationError with the row that breaks a rule.
    """
    columns, rows = sheet.read(path)
    if set(columns) == {"case", "reader", "answer"}:
        found: dict[str, dict[str, str]] = {}
        for number, row in rows:
            if not row["reader"]:
                raise EvaluationError(f"{path.name}, row {number}: the column 'reader' is empty; fill it in.")
            _put(found.setdefault(row["reader"], {}), row["case"], row["answer"], path.name, number)
        return found
    if "case" not in columns or len(columns) < 2:
        other = "" if "case" in columns else sheet.meant("case", columns)
        asked = f" Did you mean 'case' by '{other}'?" if other else ""
        raise EvaluationError(
            f"{path.name} has the columns {', '.join(columns)}; it needs 'case' and one column a reader, or case, "
            f"reader, answer.{asked}"
        )
    by_reader: dict[str, dict[str, str]] = {name.removeprefix(_PREFIX): {} for name in columns if name != "case"}
    for number, row in rows:
        for name in columns:
            if name != "case":
                _put(by_reader[name.removeprefix(_PREFIX)], row["case"], row[name], path.name, number)
    return by_reader


def of_columns(columns: Sequence[str], rows: Sequence[tuple[int, Mapping[str, str]]], name: str) -> Answers:
    """The answers in columns `reader_<name>` of a table of predictions."""
    found: dict[str, dict[str, str]] = {c.removeprefix(_PREFIX): {} for c in columns if c.startswith(_PREFIX)}
    for number, row in rows:
        for reader, given in found.items():
            _put(given, row["case"], row[_PREFIX + reader], name, number)
    return found


def check(given: Answers, facts: Facts, cases: Collection[str]) -> None:
    """Raise EvaluationError for an answer about one of the cases that is no class, or where none is about any case."""
    known = set(cases)
    told = {case for by_case in given.values() for case in by_case}
    if not told & known:
        there, here = (f"'{min(names)}'" if names else "none" for names in (told, known))
        raise EvaluationError(
            f"Not one of the readers' {len(told)} cases is judged here: they are called like {there}, and the judged "
            f"ones like {here}; check the column 'case'."
        )
    for name, by_case in given.items():
        for case, text in by_case.items():
            if case in known:
                _class(text, facts, name, case)


def unmatched(given: Answers, cases: Collection[str]) -> tuple[str, ...]:
    """How many answers of each reader are about no case that was judged, a sentence each, with a few of them."""
    known, notes = set(cases), []
    for name, by_case in given.items():
        lost = [case for case in by_case if case not in known]
        if lost:
            shown = ", ".join(f"'{case[:60]}'" for case in lost[:_NAMED])
            more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
            what = "Left out: 1 answer of" if len(lost) == 1 else f"Left out: {len(lost)} answers of"
            notes.append(f"{what} {name} about no judged case: {shown}{more}.")
    return tuple(notes)


def judge(table: pd.DataFrame, facts: Facts, given: Answers, replicates: int) -> Readers:
    """Each reader and the model on the cases that the reader read, and the readers among each other.

    On the level of cases, for the positive class against the rest; agreement is over all classes where they exclude
    each other. Intervals are over patients. Raises EvaluationError for an answer that is no class, or when not one case
    was read.
    """
    rows = sample(table, facts)
    place = {key: i for i, key in enumerate(rows.keys.tolist())}
    found, notes = [], list(unmatched(given, place))
    for name, by_case in given.items():
        known = {case: text for case, text in by_case.items() if case in place}
        if len(known) < len(place):
            notes.append(f"{name} read {len(known)} of the {len(place)} judged cases.")
        if not known:
            continue
        at = np.array(sorted(place[case] for case in known), dtype=np.intp)
        classes = [_class(known[str(rows.keys[i])], facts, name, str(rows.keys[i])) for i in at]
        found.append(_Read(name, at, np.array(classes, dtype=np.intp)))
    if not found:
        raise EvaluationError("Not one of the readers' answers is about a case that was judged; check the case keys.")
    model = _classes(answers(rows.p, facts, rows.limits), facts)
    return Readers(
        readers=tuple(_reader(one, model, rows, facts, replicates) for one in found),
        fleiss=_fleiss(found, rows, facts, replicates, notes),
        between=_between(found, rows, facts, replicates),
        notes=tuple(notes),
    )


def _reader(read: _Read, model: NDArray[np.intp], rows: Sample, facts: Facts, replicates: int) -> Reader:
    at, k = read.rows, _positive(facts)
    truth, patients = rows.y[at, facts.positive_index], rows.patients[at]
    theirs, ours = read.given == k, model[at] == k

    def figure(hit: NDArray[np.bool_], among: NDArray[np.bool_], nothing: str) -> Figure:
        return proportion.figure(hit, among, patients, nothing)

    both = agreement.figures(read.given, model[at], _count(facts), patients, replicates, facts.seed)
    sensitivity = figure(theirs, truth, "no case that was read is positive")
    specificity = figure(~theirs, ~truth, "no case that was read is negative")
    alone = len(np.unique(patients)) == len(patients)
    return Reader(
        name=read.name,
        cases=len(at),
        total=len(rows.keys),
        patients=len(np.unique(patients)),
        sensitivity=sensitivity,
        specificity=specificity,
        model_sensitivity=figure(ours, truth, "no case that was read is positive"),
        model_specificity=figure(~ours, ~truth, "no case that was read is negative"),
        model_roc_auc=delong_interval(truth, rows.p[at, facts.positive_index], patients),
        agreement=both["agreement"],
        kappa=both["kappa"],
        point=(_known(1.0 - specificity.value), _known(sensitivity.value)),
        mcnemar=mcnemar(theirs == truth, ours == truth) if alone else None,
    )


def _fleiss(found: Sequence[_Read], rows: Sample, facts: Facts, replicates: int, notes: list[str]) -> Figure | None:
    if len(found) < 2:
        return None
    shared = np.array(sorted(set.intersection(*(set(one.rows.tolist()) for one in found))), dtype=np.intp)
    if len(shared) < 2:
        notes.append("Fewer than two cases were read by every reader, so there is no Fleiss' kappa.")
        return None
    table = np.stack([_given(one, shared) for one in found], axis=1)
    return agreement.fleiss_figure(table, _count(facts), rows.patients[shared], replicates, facts.seed)


def _between(found: Sequence[_Read], rows: Sample, facts: Facts, replicates: int) -> dict[str, Figure]:
    made = {}
    for a, b in combinations(found, 2):
        shared = np.array(sorted(set(a.rows.tolist()) & set(b.rows.tolist())), dtype=np.intp)
        if len(shared) >= 2:
            both = agreement.figures(
                _given(a, shared), _given(b, shared), _count(facts), rows.patients[shared], replicates, facts.seed
            )
            made[f"{a.name} and {b.name}"] = both["kappa"]
    return made


def _given(read: _Read, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    given: NDArray[np.intp] = read.given[np.searchsorted(read.rows, rows)]
    return given


def _count(facts: Facts) -> int:
    return len(facts.classes) if exclusive(facts.kind) else 2


def _positive(facts: Facts) -> int:
    """The number of the positive answer: its column, or 1 where labels may stand together."""
    return facts.positive_index if exclusive(facts.kind) else 1


def _classes(called: NDArray[np.bool_], facts: Facts) -> NDArray[np.intp]:
    several = not exclusive(facts.kind)
    found: NDArray[np.intp] = called[:, facts.positive_index].astype(np.intp) if several else called.argmax(axis=1)
    return found


def _class(text: str, facts: Facts, reader: str, case: str) -> int:
    names = {part.strip() for part in text.split(";")} - {"", "none"}
    if not names <= set(facts.classes) or (exclusive(facts.kind) and len(names) != 1):
        if text in ("0", "1") and _count(facts) == 2:
            positive = _positive(facts)
            return positive if text == "1" else 1 - positive
        raise EvaluationError(
            f"{reader} answered '{text[:40]}' for case '{case}'; an answer is one of {', '.join(facts.classes)}"
            + (", or 0 and 1." if _count(facts) == 2 else ".")
        )
    return facts.classes.index(names.pop()) if exclusive(facts.kind) else int(facts.positive in names)


def _put(given: dict[str, str], case: str, text: str, name: str, number: int) -> None:
    if not case:
        raise EvaluationError(f"{name}, row {number}: the column 'case' is empty; fill it in.")
    if case in given:
        raise EvaluationError(f"{name}, row {number}: the case '{case}' was read twice by one reader; keep one answer.")
    if text:
        given[case] = text


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
