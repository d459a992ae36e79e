"""The start page, rendered here from one packaged template; no script, nothing from a third party."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from insula.serve.answers import INTENDED_USE, Answer, ModelInfo


def page(
    info: ModelInfo | None,
    answer: Answer | None = None,
    overlay: tuple[str, int, str] = ("", 0, ""),
    error: dict[str, str] | None = None,
) -> str:
    """The page as HTML: the model, the file picker, and the answer or error of the request before it, if any."""
    picture, number, name = overlay
    return (
        _environment()
        .get_template("start.html")
        .render(
            info=info,
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


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("insula.serve", "page"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
