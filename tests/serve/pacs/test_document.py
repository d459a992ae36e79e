"""docs/pacs.md says what there is: every setting, an example of rules that is sound, addresses that are taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import yaml

from insula.report.dicom.result import Object
from insula.serve.pacs.peers import parse
from insula.serve.pacs.rules import Rule, Rules, When
from insula.serve.pacs.settings import PacsSettings

PAGE = (Path(__file__).parents[3] / "docs" / "pacs.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The table that begins with a column, without its head."""
    table = PAGE[PAGE.index(f"| {header} |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_setting_stands_with_its_default() -> None:
    said: dict[str, str] = {}
    for names, default, _ in rows("variable"):
        for name, value in zip(
            re.findall(r"`INSULA_PACS_(\w+)(?:<\w+>)?`", names), default.split(", ") * 2, strict=False
        ):
            said[name.lower()] = value
    assert said.pop("login_") == "–"
    assert said.keys() == PacsSettings.model_fields.keys()
    for name, field in PacsSettings.model_fields.items():
        if field.default not in ("", None):
            assert float(said[name]) == field.default if said[name].isdigit() else said[name] == field.default, name


def test_the_example_of_rules_is_sound_and_every_field_is_told() -> None:
    found = Rules.model_validate(yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0]))
    assert [rule.pseudonymise for rule in found.rules] == [False, True]
    fields = rows("field")
    assert [re.findall(r"`(\w+)`", row[0]) for row in fields] == [[name] for name in Rule.model_fields]
    (when,) = (row for row in fields if row[0] == "`when`")
    assert set(re.findall(r"`(\w+)`", when[2])) == When.model_fields.keys()


def test_the_addresses_are_taken() -> None:
    for row in rows("address"):
        peers = parse(re.findall(r"`([^`]+)`", row[0])[0])
        assert len(peers) == 1, row


def test_every_kind_of_object_is_told() -> None:
    assert [row[0].strip("`") for row in rows("`objects` | DICOM object")] == list(get_args(Object))
