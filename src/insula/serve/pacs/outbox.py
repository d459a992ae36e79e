"""What is to be sent: one job for each peer, so that one that is down holds up no other."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from insula.serve.jobs.queue import Wanted
from insula.serve.pacs.sent import SEND

MOST_ATTEMPTS: Final = 150  # with the waits between them, most of a day


def of_prediction(payload: Mapping[str, Any], prediction: str, study: str, project: str | None) -> list[Wanted]:
    """The jobs that a prediction's own job asks for: `send` in its payload, with `peers` and `objects`."""
    send = payload.get("send") or {}
    return [
        Wanted(
            SEND,
            {"prediction": prediction, "peer": peer, "objects": list(send["objects"])},
            f"pacs-send-{prediction}-{peer}",
            project,
            study,
            most_attempts=MOST_ATTEMPTS,
        )
        for peer in dict.fromkeys(send.get("peers", ()))
    ]


def asked_for(
    prediction: str, study: str, project: str, peer: str, objects: Sequence[str], review: str | None, user: str
) -> Wanted:
    """The job that a person asks for, also of what was sent before. review: that it is to tell of."""
    payload: dict[str, Any] = {"prediction": prediction, "peer": peer, "objects": list(objects)}
    if review is not None:
        payload["review"] = review
    key = f"pacs-send-{prediction}-{peer}-{secrets.token_hex(8)}"
    return Wanted(SEND, payload, key, project, study, user, MOST_ATTEMPTS)
