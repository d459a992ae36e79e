"""What readers said of the studies that a bundle answered, one row a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, func, select

from insula.core.recipe import Target
from insula.serve.store.schema import predictions, reviews, studies

FEWEST: Final = 5  # studies that figures are given of: those of one would tell a second reader what the first one said


@dataclass(frozen=True)
class Row:
    """One study that was answered and reviewed: class numbers of the answer and of what its readers agree on.

    Of labels that stand together the headline label alone is compared: 1 for present, 0 for absent.
    """

    patient: str
    at: datetime
    answer: int
    truth: int


@dataclass(frozen=True)
class Pair:
    """Two readers' class numbers of one study, the earlier first; apart: the later had not seen the earlier's."""

    patient: str
    first: int
    second: int
    apart: bool


@dataclass(frozen=True)
class Reviewed:
    """All that is known. settled: studies with one truth. disputed: readers differ. untold: no reader gave a label.

    rejected: reviewed studies without an answer. answered: class number of the answer → studies with it, reviewed or
    not.
    """

    settled: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    disputed: int
    untold: int
    rejected: int
    answered: dict[int, int]


def reviewed(connection: Connection, bundle_id: str, name: str, target: Target) -> Reviewed:
    """The first answer of a bundle to each study beside the reviews in force about `name`, a target with classes.

    A label counts whichever model's answer it was given to, or to none, for it is about the study.
    """
    first = (
        select(func.min(predictions.c.seq).label("seq"))
        .where(predictions.c.bundle_id == bundle_id)
        .group_by(predictions.c.study_id)
        .subquery()
    )
    mine = predictions.join(first, predictions.c.seq == first.c.seq)
    answered: dict[int, int] = {}
    for label, count in connection.execute(
        select(predictions.c.label, func.count()).select_from(mine).group_by(predictions.c.label)
    ):
        if (number := class_of(label, target)) is not None:
            answered[number] = answered.get(number, 0) + count
    rows = connection.execute(
        select(
            predictions.c.study_id,
            predictions.c.created_at,
            predictions.c.label.label("answer"),
            studies.c.patient_id,
            reviews.c.reviewer_id,
            reviews.c.label,
            reviews.c.blinded,
        )
        .select_from(
            mine.join(studies, predictions.c.study_id == studies.c.id).join(
                reviews,
                and_(
                    reviews.c.study_id == predictions.c.study_id,
                    reviews.c.target == name,
                    reviews.c.replaced_by.is_(None),
                ),
            )
        )
        .order_by(predictions.c.seq, reviews.c.seq)
    )
    by_study: dict[str, list[tuple[str | None, int | None, bool]]] = {}
    facts = {}
    for row in rows:
        facts[row.study_id] = row.patient_id, row.created_at, class_of(row.answer, target)
        said = by_study.setdefault(row.study_id, [])
        said.append((row.reviewer_id, class_of(row.label or "", target), row.blinded))
    settled, pairs, counts = [], [], {"disputed": 0, "untold": 0, "rejected": 0}
    for study, said in by_study.items():
        patient, at, answer = facts[study]
        pairs += _pairs(patient, said)
        truths = {number for _, number, _ in said if number is not None}
        if answer is None:
            counts["rejected"] += 1
        elif not truths:
            counts["untold"] += 1
        elif len(truths) > 1:
            counts["disputed"] += 1
        else:
            settled.append(Row(patient, at, answer, truths.pop()))
    return Reviewed(tuple(settled), tuple(pairs), answered=answered, **counts)


def class_of(label: str, target: Target) -> int | None:
    """The number of a label's class; None for a label that is none of the target's, as that of a rejected scan.

    Of labels that stand together (joined by `;`, `none` for no label): 1 where the headline label is among them or
    follows from them, 0 where it is not.
    """
    if target.exclusive:
        return target.classes.index(label) if label in target.classes else None
    given = {part.strip() for part in label.split(";")}
    if given & {"none", f"no {target.positive}"}:
        return 0
    if not given or not given <= set(target.classes):
        return None
    return int(target.any_of_the_others or target.positive in given)


def _pairs(patient: str, said: Sequence[tuple[str | None, int | None, bool]]) -> list[Pair]:
    """The first two readers of a study that gave a label; a reader's last word counts, at the place of the first."""
    by_reader: dict[str, tuple[int, bool]] = {}
    for reader, number, blinded in said:
        if reader is not None and number is not None:
            by_reader[reader] = number, blinded
    answers = list(by_reader.values())[:2]
    return [Pair(patient, answers[0][0], answers[1][0], answers[1][1])] if len(answers) == 2 else []
