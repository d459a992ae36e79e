"""Reviews: what readers say, the queue of what waits for them, and how far they agree."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from insula.core.recipe_target import Target
from insula.serve.api import once
from insula.serve.api.cursor import After, Limit, Page, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.predictions import predictions_of, visible_prediction
from insula.serve.api.shapes import Id, NewReview, Review, Waiting
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.people.caller import Caller
from insula.serve.people.visible import require_project, rows_of, studies_of
from insula.serve.service import Service
from insula.serve.store import review_queue, reviews, schema, studies
from insula.serve.store.review_queue import After as Place
from insula.serve.store.reviews import NO_LABEL, Said


def routes(service: Service) -> APIRouter:
    """`/studies/{id}/reviews` and `/queue`."""
    made = Routes(service, "/api/v1", "reviews")

    @made.post("/studies/{study_id}/reviews", "review.write", status_code=201, response_model=Review, statuses=(409,))
    def write(request: Request, acting: Acting, study_id: Id, asked: NewReview) -> Response:
        """Say what you read: agree with a prediction, override it, or label a study that has none.

        A later word of yours takes the place of the earlier one, which is kept.
        """
        key, request_hash = once.key_of(request), once.hash_of(request, asked.model_dump(mode="json"))
        with acting.write("review.write", study_id, target=asked.target) as connection:
            study = studies.get(connection, study_id, studies_of(acting.caller))
            require_project(acting.caller, study.project_id)
            earlier = once.before(connection, acting.caller, key, request_hash)
            if earlier is not None:
                acting.told(replay=True)
                return earlier
            bundle_id = None
            if asked.prediction is not None:
                of = visible_prediction(connection, acting.caller, asked.prediction)
                if of.study_id != study_id:
                    raise RequestError(422, "other_study", "The prediction is of another study; name one of this.")
                bundle_id = of.bundle_id
            said = Said(asked.target, asked.verdict, asked.signature, asked.label, asked.comment)
            known = _labels(connection, asked, bundle_id)
            name = reviews.write(connection, study_id, acting.caller.user_id, said, asked.prediction, known)
            (found,) = (one for one in reviews.shown(connection, study_id, acting.caller.user_id) if one.id == name)
            acting.told(review=name)  # not what it says: who reads the trail may read the study second
            body = Review.model_validate(found).model_dump(mode="json")
            once.keep(connection, acting.caller, key, request_hash, 201, body)
        return JSONResponse(body, 201)

    @made.get("/studies/{study_id}/reviews", "review.read")
    def of_study(acting: Acting, study_id: Id) -> list[Review]:
        """The reviews of a study; those of others only once you have answered yourself, where you read it second."""
        with acting.read("review.list", study_id) as connection:
            studies.get(connection, study_id, studies_of(acting.caller))
            found = reviews_for(connection, acting.caller, study_id)
        return [Review.model_validate(one) for one in found]

    @made.get("/queue", "review.write")
    def queue(
        acting: Acting,
        limit: Limit = 50,
        after: Annotated[str | None, Query(max_length=60)] = None,
        second: Annotated[bool, Query(description="Those that one other reader has answered.")] = False,
    ) -> Page[Waiting]:
        """What waits to be read, the most uncertain first."""
        place, who = queue_place(after), predictions_of(acting.caller)
        with acting.read("queue.read", second=second) as connection:
            if second:
                found = review_queue.second(connection, who, acting.caller.user_id, place, limit)
            else:
                found = review_queue.first(connection, who, place, limit)
        last = review_queue.place(found[-1]) if len(found) == limit else None
        return Page(
            items=[Waiting.model_validate(one) for one in found], next=None if last is None else queue_cursor(last)
        )

    @made.get("/queue/unlabelled", "review.write")
    def unlabelled(acting: Acting, limit: Limit = 50, after: After = None) -> Page[str]:
        """Ids of studies that have neither a prediction nor a label, the newest first."""
        with acting.read("queue.read") as connection:
            found = review_queue.unlabelled(connection, rows_of(acting.caller, schema.studies), seen(after), limit)
        return Page(items=list(found.rows), next=None if found.before is None else cursor(found.before))

    return made.router


def reviews_for(connection: Connection, caller: Caller, study_id: str) -> list[reviews.Review]:
    """The reviews of a study that a caller may see, oldest first: whoever reads himself sees others' after his own."""
    if caller.reader_id is not None:  # whatever a key narrows: it would show its owner what he must not know yet
        return reviews.shown(connection, study_id, caller.reader_id)
    return reviews.history(connection, study_id)


def questions(connection: Connection, bundle_id: str | None) -> dict[str, Target]:
    """What can be answered: the targets of a prediction's model, or of all that are registered; by their names.

    A model whose recipe this version does not read is passed over.
    """
    models = [one for one in choose.models(connection) if bundle_id in (None, one.bundle_id)]
    recipes = [found for one in models if (found := choose.recipe_or_none(one)) is not None]
    return {name: target for one in recipes for name, target in one.targets.items()}


def _labels(connection: Connection, asked: NewReview, bundle_id: str | None) -> tuple[str, ...] | None:
    """The labels that a target has: of the prediction's model, or of any that is registered; None where there is none.

    Raises RequestError 422 for a target that is no question of theirs: such a review would count nowhere; and for kinds
    without the finding that each of them is.
    """
    targets = questions(connection, bundle_id)
    if not targets:  # people label from scratch where there is no model yet
        return None
    if asked.target not in targets:
        raise RequestError(
            422, "bad_target", f"There is no question '{asked.target[:40]}'; choose of {', '.join(targets)}."
        )
    found = targets[asked.target]
    kinds = {one.strip() for one in (asked.label or "").split(";")} - {"", NO_LABEL}
    if found.any_of_the_others and kinds and found.positive not in kinds:
        raise RequestError(
            422, "bad_label", f"Where one of the kinds is there, '{found.positive}' is too; name it with them."
        )
    return (*found.classes, NO_LABEL) if found.kind == "multilabel" else tuple(found.classes) or None


def queue_place(after: str | None) -> Place | None:
    """Where a page of the queue goes on. Raises RequestError 400 for what is no cursor of ours."""
    if after is None:
        return None
    wrong = RequestError(400, "bad_cursor", f"'{after[:40]}' is no cursor; take `next` of a page, as it is.")
    entropy, _, number = after.partition("~")
    try:
        place = Place(float(entropy) if entropy else None, int(number))
    except ValueError as error:
        raise wrong from error
    if not 0 < place.seq < 1 << 62 or not math.isfinite(place.entropy or 0.0):
        raise wrong
    return place


def queue_cursor(place: Place) -> str:
    """A place of the queue as a cursor."""
    return f"{'' if place.entropy is None else repr(place.entropy)}~{place.seq}"
