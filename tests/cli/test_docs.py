from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from insula.cli.main import main
from insula.core.errors import UsageError


def said(*words: str) -> str:
    got = CliRunner().invoke(main, ["docs", *words], catch_exceptions=False)
    assert got.exit_code == 0, got.output
    return got.output


def test_the_pages_are_listed_for_whom_they_are() -> None:
    text = said()
    assert "For clinicians: dashboard, " in text
    assert "errors" in text
    assert "results/stroke-ct" in text
    assert {"errors", "readme", "pacs"} <= set(json.loads(said("--json"))["pages"])


@pytest.mark.parametrize("place", ["errors#cohort", "docs/errors.md#cohort", "/documents/errors#cohort"])
def test_a_part_of_a_page_is_printed_alone(place: str) -> None:
    text = said(place)
    assert text.startswith("### cohort\n\nExit code 15;")
    assert text.count("###") == 1


def test_a_whole_page_and_json() -> None:
    assert said("errors").startswith("# Errors\n")
    told = json.loads(said("errors#split", "--json"))
    assert (told["page"], told["part"]) == ("errors", "split")
    assert told["text"].startswith("### split\n")


@pytest.mark.parametrize(
    ("place", "meant"),
    [("eror", "errors"), ("errors#cohrt", "cohort"), ("../pyproject", "no page"), ("screens/worklist.png", "no page")],
)
def test_a_place_that_is_none_is_refused_with_what_may_be_meant(place: str, meant: str) -> None:
    with pytest.raises(UsageError, match=meant):
        CliRunner().invoke(main, ["docs", place], catch_exceptions=False)
