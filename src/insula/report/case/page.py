"""The case report as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from insula.core import templates
from insula.core.style import sheet
from insula.report import inline, words
from insula.report.case import say, texts
from insula.report.case.pictures import bar
from insula.report.case.record import CaseReport, Measured, Picture, as_shown

_BAR: Final = 100.0  # width of a probability bar in the units of its drawing


@dataclass(frozen=True)
class _Shot:
    """A picture with what is said of it."""

    of: Picture
    scan: str
    map: str
    bar: str
    top: str
    evidence: str


def case_html(report: CaseReport) -> str:
    """The report as a page: its own style, pictures inside it, no script, and no address of anything else.

    UsageError for a language that it does not speak.
    """
    shown = as_shown(report)
    t = texts.texts(shown.language)
    return (
        templates.environment("insula.report")
        .get_template("case.html")
        .render(
            r=shown,
            t=t,
            say=say,
            style=_style(),
            rejected=shown.answer.action == "reject",
            reasons=reasons(shown),
            shots=[_shot(one, t) for one in shown.pictures],
            figures=[(texts.figure(one.key, shown.language), one, basis(one, t)) for one in shown.model.figures],
            set_level=set_level(shown, t),
            across=lambda x: f"{_BAR * min(max(x, 0.0), 1.0):.2f}",
        )
    )


def content_policy() -> str:
    """A Content-Security-Policy under which the page shows as it should, and could fetch or run nothing."""
    return inline.content_policy(_style())


@cache
def _style() -> str:
    own = files("insula.report").joinpath("templates", "case.css").read_text(encoding="utf-8")
    return f"{sheet()}\n{own}"


def reasons(report: CaseReport) -> list[tuple[str, str]]:
    """Each reason with the name of its kind, where the record has kinds."""
    given = report.answer
    kinds = given.kinds if len(given.kinds) == len(given.reasons) else ("",) * len(given.reasons)
    return [
        (texts.reason(kind, report.language), f"{words.clause(reason)}.") if kind else ("", words.sentence(reason))
        for kind, reason in zip(kinds, given.reasons, strict=True)
    ]


def _shot(picture: Picture, t: dict[str, str]) -> _Shot:
    return _Shot(
        picture,
        _address(picture.scan),
        _address(picture.map) if picture.map is not None else "",
        _address(bar(picture.colours)) if picture.map is not None else "",
        say.short(picture.top),
        say.evidence(picture, t) if picture.map is not None else "",
    )


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def basis(one: Measured, t: dict[str, str]) -> str:
    """On how many patients a figure rests."""
    if not one.n:
        return "–"
    return t["basis_share" if words.is_share(one.key) else "basis_rows"].format(n=one.n, events=one.events)


def set_level(report: CaseReport, t: dict[str, str]) -> str:
    """What the prediction set was made for, or ""."""
    level = report.answer.set_level
    return "" if level is None else t["set_level"].format(level=say.prevalence(level, t))
