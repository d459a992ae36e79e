"""The start page, rendered here from one packaged template; no script, nothing from a third party."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from insula.core import templates
from insula.core.recipe_policy import Source
from insula.serve.answers import INTENDED_USE, Answer, ModelInfo

_SOURCES: dict[Source, str] = {"dropout": "dropout passes", "views": "views of the scan", "members": "members"}


def page(
    info: ModelInfo | None,
    answer: Answer | None = None,
    overlay: tuple[str, int, str] = ("", 0, ""),
    error: dict[str, str] | None = None,
) -> str:
    """The page as HTML: the model, the file picker, and the answer or error of the request before it, if any."""
    picture, number, name = overlay
    return (
        templates.environment("insula.serve", "page")
        .get_template("start.html")
        .render(
            info=info,
            source=_SOURCES[info.uncertainty_source] if info else "",
            answer=answer,
            picture=picture,
            slice_number=number + 1,
            heat_class=name,
            error=error,
            intended_use=INTENDED_USE,
        )
    )


@cache
def style() -> str:
    """The style sheet's text."""
    return files("insula.serve").joinpath("page", "insula.css").read_text(encoding="utf-8")
