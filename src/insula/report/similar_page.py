"""A scan beside the stored cases that look most alike to the network, as one page without script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from insula import __version__
from insula.core import templates
from insula.core.style import sheet
from insula.evaluate.outcome import LIMITS
from insula.infer.feature_store import Store
from insula.infer.similar import SAID
from insula.infer.similar_cases import Answer
from insula.report.features_page import breakable, part


@dataclass(frozen=True)
class Query:
    """The scan that was asked for: its name, thumbnail (JPEG), what the policy says, and the positive class' share.

    probability: None where the policy rejects the scan.
    """

    name: str
    jpeg: bytes
    decision: str
    probability: float | None


def render(query: Query, answer: Answer, store: Store, notes: tuple[str, ...] = ()) -> str:
    """The page as text. notes: what has to be said of this search."""
    css = f"{sheet()}\n{part('features.css')}"
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    page = templates.environment("insula.report").get_template("similar.html")
    return page.render(
        css=css,
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        query=query,
        picture=base64.b64encode(query.jpeg).decode(),
        answer=answer,
        cases=[(one, base64.b64encode(store.thumbnail(one.row)).decode()) for one in answer.cases],
        facts=store.facts,
        breakable=breakable,
        notes=notes,
        said=SAID,
        version=__version__,
        limits=LIMITS,
    )
