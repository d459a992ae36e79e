"""The start page, rendered here from one packaged template; no script, nothing from a third party."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from insula.core import templates
from insula.core.recipe_policy import Source
from insula.infer.heatmap import NO_PROOF
from insula.serve.answers import INTENDED_USE, Answer, ModelInfo
from insula.serve.picture import Drawn

_SOURCES: dict[Source, str] = {"dropout": "dropout passes", "views": "views of the scan", "members": "members"}


def page(
    info: ModelInfo | None,
    answer: Answer | None = None,
    drawn: Drawn | None = None,
    error: dict[str, str] | None = None,
) -> str:
    """The page as HTML: the model, the file picker, and the answer or error of the request before it, if any.

    drawn: the map beside the answer; None where there is none to show.
    """
    return (
        templates.environment("insula.serve", "page")
        .get_template("start.html")
        .render(
            info=info,
            source=_SOURCES[info.uncertainty_source] if info else "",
            answer=answer,
            drawn=drawn,
            no_proof=NO_PROOF,
            error=error,
            intended_use=INTENDED_USE,
        )
    )


@cache
def style() -> str:
    """The style sheet's text."""
    return files("insula.serve").joinpath("page", "insula.css").read_text(encoding="utf-8")
