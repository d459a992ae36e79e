"""What the bill of materials and the look into the wheel would find."""

from __future__ import annotations

import json
import pickle
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from tests.house.walk import ROOT

pytest.importorskip("cyclonedx", reason="cyclonedx-bom is not installed")

from scripts import supply_bill, supply_page, supply_wheel
from scripts.supply_bill import Advisories, Part


def wheel(folder: Path, **members: bytes) -> Path:
    path = folder / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


def test_what_does_not_belong_into_a_wheel_is_found(tmp_path: Path) -> None:
    found = supply_wheel.strangers(
        wheel(
            tmp_path,
            insula__a_dot_py=b"x = 1\n",
            insula__b_dot_json=pickle.dumps({"a": 1}),
            insula__c_dot_so=b"\x7fELF\x02",
            insula__d_dot_png=b"PK\x03\x04",
            insula__e_dot_pkl=b"text",
            insula__f_dot_md=b"\x93NUMPY\x01",
        )
    )
    assert [line.partition(": ")[2] for line in found] == [
        "a pickle",
        "a program",
        "an archive",
        "of the unknown kind '.pkl'",
        "an array",
    ]


def told(**fields: str) -> Message:
    made = Message()
    for name, value in fields.items():
        for one in value.split("|"):
            made[name.replace("_", "-")] = one
    return made


@pytest.mark.parametrize(
    ("fields", "licence", "copyleft"),
    [
        ({"License_Expression": "MIT", "License": "GPL"}, "MIT", False),
        ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, "", True),
        ({"Classifier": "License :: OSI Approved :: BSD License|Topic :: X"}, "BSD License", False),
        ({"License": "LGPL-3.0-only"}, "LGPL-3.0-only", True),
        ({"License": "A line\nand the whole text"}, "A line", False),
        ({"License": "UNKNOWN"}, "unknown", False),
        ({}, "unknown", False),
    ],
)
def test_licences_are_read_as_their_makers_say_them(fields: dict[str, str], licence: str, copyleft: bool) -> None:
    found = supply_bill.licence(told(**fields))
    assert found == (licence or found)
    assert supply_bill.copyleft(found) == copyleft


def test_the_bill_has_what_is_delivered_and_what_that_needs() -> None:
    parts = {part.name: part for part in supply_bill.closure(ROOT / "pyproject.toml")}
    assert "" in parts["numpy"].extras  # always
    assert "serve" in parts["starlette"].extras  # needed by fastapi
    assert "" not in parts["starlette"].extras
    assert {"cryptography"} <= parts.keys()  # by an extra of a requirement, `pyjwt[crypto]`
    assert "hypothesis" not in parts  # for those who work on Insula
    assert all(part.version for part in parts.values())


def test_advisories_and_what_is_not_known_of_them_are_told_apart() -> None:
    answer: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2", "3"]}]},
        {"name": "b", "version": "1", "vulns": []},
        {"name": "c", "skip_reason": "not found"},
    ]
    assert supply_bill._each(answer) == [("a", "1", "PYSEC-1", "2, 3")]
    assert supply_bill._skipped(answer) == "the index does not know c"
    assert supply_bill._skipped(answer[2:]) == "the index has no records of advisories"
    assert supply_bill._skipped(answer[:2]) == ""
    lines = "\n".join(supply_page._advisories(Advisories((("a", "1", "PYSEC-1", "2"),)), 3))
    assert "PYSEC-1" in lines
    assert "None for these 3 versions" in "\n".join(supply_page._advisories(Advisories(()), 3))
    assert "Not known" in supply_page._advisories(Advisories((), "the index was not reached"), 3)[0]


def test_a_bill_that_is_none_is_refused() -> None:
    sound = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    assert supply_bill.invalid(json.dumps(sound)) == ""
    assert supply_bill.invalid(json.dumps(sound | {"components": [{"name": "x"}]}))


def test_the_page_names_what_is_wrong(tmp_path: Path) -> None:
    path = wheel(tmp_path, insula__a_dot_py=b"")
    parts = [Part("a", "1", ("",)), Part("b", "2", ("pdf",))]
    bad = supply_wheel.Wheels(path, ("aa", "bb"), ("insula/a.py",))
    text = supply_page.page(bad, ["x.pkl: a pickle"], parts, "", {"a 1": "MIT", "b 2": "GPL-2.0"}, Advisories(()))
    assert "**not equal: insula/a.py**" in text
    assert "**x.pkl: a pickle**" in text
    assert "| b 2 | GPL-2.0 | pdf |" in text
