"""Reviews: what readers say of a study, with or without a prediction. None is ever deleted by another.

A later review of the same reader about the same thing takes the place of the earlier one (`replaced_by`). A reader who
has not answered yet is shown no other reader's answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, FromClause, exists, func, insert, select, update

from insula.serve.faults import RequestError
from insula.serve.store import schema
from insula.serve.store.patients import not_found, plain

Verdict = Literal["agree", "override", "cannot_tell"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
LONGEST_LABEL, LONGEST_COMMENT, LONGEST_SIGNATURE = 120, 20_000, 200
NO_LABEL: Final = "none"  # of labels that stand together


@dataclass(frozen=True)
class Said:
    """What a reader says.

    target: the recipe's question. label: the reader's own, needed for `override` alone; several are joined by `;`,
    `none` stands for no label. signature: the reader's name as typed.
    """

    target: str
    verdict: Verdict
    signature: str
    label: str | None = None
    comment: str = ""


@dataclass(frozen=True)
class Review:
    """One review. blinded: whether the reader had seen no other reader's answer; replaced_by: the later one, if any."""

    id: str
    seq: int
    created_at: datetime
    study_id: str
    prediction_id: str | None
    reviewer_id: str | None
    target: str
    verdict: Verdict
    label: str | None
    comment: str
    signature: str
    blinded: bool
    replaced_by: str | None


def write(
    connection: Connection,
    study_id: str,
    reviewer_id: str,
    said: Said,
    prediction_id: str | None = None,
    known: Collection[str] | None = None,
) -> str:
    """Keep a review of a study, or of one prediction of it; its id.

    Without a prediction (no model loaded) the study is labelled from scratch: `override` with a label, or
    `cannot_tell`. known: the labels that may be given, where a recipe says so. The label kept for `agree` is that of
    the prediction. Raises RequestError 404 without such a study or prediction of it, 422 for what does not fit.
    """
    studies = schema.studies.c
    held = select(studies.id).where(studies.id == study_id).with_for_update()  # one review of a study at a time
    if connection.execute(held).first() is None:
        raise not_found("study")
    predicted = None if prediction_id is None else _predicted(connection, study_id, prediction_id)
    values = {
        "id": schema.new_id(),
        "study_id": study_id,
        "prediction_id": prediction_id,
        "prediction_seq": None if predicted is None else predicted.seq,
        "reviewer_id": reviewer_id,
        "target": plain(said.target, "target", 64),
        "verdict": said.verdict,
        "label": _label(said, predicted, known),
        "comment": _comment(said.comment),
        "signature": plain(said.signature, "signature", LONGEST_SIGNATURE),
        "blinded": not answered(connection, study_id, said.target, reviewer_id),
    }
    reviews = schema.reviews
    connection.execute(insert(reviews).values(values))
    about = reviews.c.prediction_id == prediction_id if prediction_id else reviews.c.prediction_id.is_(None)
    earlier = (reviews.c.reviewer_id == reviewer_id, reviews.c.target == values["target"], about)
    own = (*valid(study_id), *earlier, reviews.c.id != values["id"])
    connection.execute(update(reviews).where(*own).values(replaced_by=values["id"]))
    if predicted is not None:
        _mark(connection, prediction_id, predicted.label)
    return str(values["id"])


def answered(connection: Connection, study_id: str, target: str, reviewer_id: str) -> bool:
    """Whether a reader has answered this question about a study."""
    reviews = schema.reviews.c
    mine = (reviews.study_id == study_id, reviews.target == target, reviews.reviewer_id == reviewer_id)
    return connection.execute(select(reviews.id).where(*mine).limit(1)).first() is not None


def shown(connection: Connection, study_id: str, reader_id: str) -> list[Review]:
    """The reviews of a study that a reader may see, oldest first, replaced ones among them.

    His own, and those of others only about questions that he has answered himself.
    """
    found = history(connection, study_id)
    open_to = {review.target for review in found if review.reviewer_id == reader_id}
    return [review for review in found if review.target in open_to]


def history(connection: Connection, study_id: str) -> list[Review]:
    """All reviews of a study, oldest first: for those who do not read it themselves."""
    reviews = schema.reviews
    rows = connection.execute(select(reviews).where(reviews.c.study_id == study_id).order_by(reviews.c.seq))
    return [Review(**{name: getattr(row, name) for name in Review.__dataclass_fields__}) for row in rows]


def told_to(reader_id: str) -> ColumnElement[bool]:
    """The condition for rows of `predictions` of which a reader may know what others said, as `shown` has it.

    They have no review about a question that the reader has not answered for that study.
    """
    theirs = schema.reviews.alias()
    return ~exists().where(theirs.c.prediction_id == schema.predictions.c.id, ~open_to(theirs, reader_id))


def open_to(theirs: FromClause, reader_id: str) -> ColumnElement[bool]:
    """The condition for rows of `reviews`, or of an alias of it, about questions of a study that a reader has answered.

    Nothing of what other rows say may come to somebody who reads himself (`Caller.reader_id`).
    """
    mine = schema.reviews.alias()
    # along the few reviews of the study: the reader's own index leads through all that he ever read
    own = func.coalesce(mine.c.reviewer_id, mine.c.reviewer_id) == reader_id
    return exists().where(mine.c.study_id == theirs.c.study_id, mine.c.target == theirs.c.target, own)


def withheld(connection: Connection, prediction_ids: Collection[str], reader_id: str | None) -> frozenset[str]:
    """Which predictions have reviews that a reader must not know of yet; None is somebody who does not read himself."""
    if reader_id is None or not prediction_ids:
        return frozenset()
    predictions = schema.predictions.c
    wanted = select(predictions.id).where(predictions.id.in_(prediction_ids), ~told_to(reader_id))
    return frozenset(connection.scalars(wanted))


def written_by(connection: Connection, reader_id: str, since: datetime, most: int) -> list[datetime]:
    """When a reader wrote the valid reviews since an instant, newest first, of the last `most` reviews at most."""
    reviews = schema.reviews.c
    newest = select(reviews.created_at, reviews.replaced_by).where(reviews.reviewer_id == reader_id)
    rows = connection.execute(newest.order_by(reviews.seq.desc()).limit(most)).all()
    return [row.created_at for row in rows if row.replaced_by is None and row.created_at >= since]


def readers(connection: Connection, projects: Collection[str], most: int = 500) -> list[tuple[str, str]]:
    """Ids and names of the people of some projects who have written a review, by name."""
    users, members = schema.users.c, schema.members.c
    inside = exists().where(members.user_id == users.id, members.project_id.in_(sorted(projects)))
    wrote = exists().where(schema.reviews.c.reviewer_id == users.id)
    rows = connection.execute(select(users.id, users.name).where(inside, wrote).order_by(users.name).limit(most))
    return [(row.id, row.name) for row in rows]


def valid(study_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions of the reviews of a study that no later one took the place of."""
    return schema.reviews.c.study_id == study_id, schema.reviews.c.replaced_by.is_(None)


def _predicted(connection: Connection, study_id: str, prediction_id: str) -> Any:
    predictions = schema.predictions.c
    wanted = select(predictions.seq, predictions.label, predictions.action)
    row = connection.execute(wanted.where(predictions.id == prediction_id, predictions.study_id == study_id)).first()
    if row is None:
        raise not_found("prediction of this study")
    return row


def _label(said: Said, predicted: Any, known: Collection[str] | None) -> str | None:
    if said.verdict not in VERDICTS:
        raise RequestError(422, "bad_verdict", f"'{said.verdict[:20]}' is none of {', '.join(VERDICTS)}.")
    if said.verdict == "agree" and predicted is None:
        raise RequestError(
            422, "bad_verdict", "There is no prediction to agree with; give a label by override, or cannot_tell."
        )
    if said.verdict == "agree":
        if said.label not in (None, predicted.label):
            raise RequestError(
                422, "bad_label", f"Agreeing is with '{predicted.label}', and the label is another; use override."
            )
        return str(predicted.label) or None
    if said.verdict == "cannot_tell":
        if said.label:
            raise RequestError(422, "bad_label", "cannot_tell goes without a label; leave it away, or use override.")
        return None
    label = plain(said.label or "", "label", LONGEST_LABEL)
    if predicted is not None and label == predicted.label:
        raise RequestError(422, "bad_label", f"'{label}' is what the model said; use agree.")
    wrong = [] if known is None else [one for one in label.split(";") if one.strip() not in known]
    if wrong:
        raise RequestError(
            422, "bad_label", f"'{wrong[0].strip()[:40]}' is none of the labels ({', '.join(sorted(known or ()))})."
        )
    return label


def _comment(text: str) -> str:
    if len(text) > LONGEST_COMMENT or "\0" in text:
        raise RequestError(
            422, "bad_text", f"The comment has {len(text)} characters; write at most {LONGEST_COMMENT}, without NUL."
        )
    return text


def _mark(connection: Connection, prediction_id: str | None, predicted: str) -> None:
    """Reviewed; and whether a reader's label is another than the model's."""
    reviews, predictions = schema.reviews.c, schema.predictions.c
    here = (reviews.prediction_id == prediction_id, reviews.replaced_by.is_(None))
    labels = set(connection.scalars(select(reviews.label).where(*here, reviews.label.is_not(None))))
    values = {"reviewed": True, "disagreed": bool(labels - {predicted})}
    connection.execute(update(schema.predictions).where(predictions.id == prediction_id).values(values))
