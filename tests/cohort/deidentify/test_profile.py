"""The table is that of the standard: its size, its codes, and rows copied by hand from PS3.15 itself."""

from __future__ import annotations

from collections import Counter

import pytest

from insula.cohort.deidentify import profile
from insula.cohort.deidentify.profile import OPTIONS, rules, settle
from insula.core.errors import UsageError

ROWS = {  # tag → basic action, options
    "00080050": ("Z", {}),
    "00080018": ("U", {"retain-uids": "K"}),
    "00080022": ("X/Z", {"full-dates": "K", "shifted-dates": "C"}),
    "00080080": ("X/Z/D", {"retain-institution": "K"}),
    "00081030": ("X", {"clean-descriptors": "C"}),
    "00081140": ("X/Z/U*", {"retain-uids": "K"}),
    "00100010": ("Z", {}),
    "00100020": ("Z/D", {}),
    "00100030": ("Z", {}),
    "00100040": ("Z", {"retain-patient": "K"}),
    "00101010": ("X", {"retain-patient": "K"}),
    "00102110": ("X", {"retain-patient": "C", "clean-descriptors": "C"}),
    "00181000": ("X/Z/D", {"retain-device": "K"}),
    "00181002": ("U", {"retain-uids": "K", "retain-device": "K"}),
    "00181200": ("X", {"retain-device": "K", "full-dates": "K", "shifted-dates": "C"}),
    "0040a730": ("D", {"clean-structured-content": "C"}),
    "0040a353": ("X", {}),
    "00700001": ("D", {"clean-graphics": "C"}),
    "50xxxxxx": ("X", {"clean-graphics": "C"}),
    "60xx3000": ("X", {"clean-graphics": "C"}),
    "60xx4000": ("X", {"clean-graphics": "C"}),
    "fffcfffc": ("X", {}),
    "private": ("X", {"retain-safe-private": "C"}),
}


def test_every_row_is_there_once_with_a_code_of_the_standard() -> None:
    assert len(rules()) == 656
    assert len({rule.tag for rule in rules()}) == 656
    assert Counter(rule.basic for rule in rules()) == {
        "X": 416, "U": 55, "X/D": 23, "X/Z/D": 8, "Z": 42, "X/Z": 11, "Z/D": 6, "D": 93, "X/Z/U*": 2,
    }  # fmt: skip
    assert {code for rule in rules() for code in rule.options.values()} == {"K", "C"}


def test_the_columns_of_options_have_their_counts() -> None:
    counts = Counter(name for rule in rules() for name in rule.options)
    assert counts == {
        "retain-safe-private": 1, "retain-uids": 60, "retain-device": 57, "retain-institution": 10,
        "retain-patient": 19, "full-dates": 169, "shifted-dates": 169, "clean-descriptors": 134,
        "clean-structured-content": 3, "clean-graphics": 4,
    }  # fmt: skip
    assert set(counts) == set(OPTIONS)


@pytest.mark.parametrize("tag", ROWS)
def test_a_row_is_that_of_the_standard(tag: str) -> None:
    (rule,) = [rule for rule in rules() if rule.tag == tag]
    assert (rule.basic, dict(rule.options)) == ROWS[tag]


def test_cleaning_wins_over_keeping() -> None:
    (calibrated,) = [rule for rule in rules() if rule.tag == "00181200"]
    assert calibrated.action(["retain-device"]) == "K"
    assert calibrated.action(["retain-device", "shifted-dates"]) == "C"
    assert calibrated.action(["retain-uids"]) == "X"


@pytest.mark.parametrize(
    ("action", "keyword", "enhanced", "settled"),
    [
        ("X/Z/D", "InstitutionName", False, "X"),
        ("X/Z/D", "DeviceSerialNumber", False, "X"),
        ("X/Z/D", "DeviceSerialNumber", True, "D"),
        ("Z/D", "ContentDate", False, "Z"),
        ("Z/D", "ContentDate", True, "D"),
        ("Z/D", "PatientID", False, "D"),
        ("X/Z", "BarcodeValue", False, "Z"),
        ("X/D", "RTPlanDate", False, "D"),
        ("U", "SOPInstanceUID", False, "U"),
    ],
)
def test_a_combined_action_is_settled_by_what_the_object_needs(
    action: str, keyword: str, enhanced: bool, settled: str
) -> None:
    assert settle(action, keyword, enhanced) == settled


def test_options_that_contradict_or_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="not both"):
        profile.check(["full-dates", "shifted-dates"])
    with pytest.raises(UsageError, match="'retain-all' is no option"):
        profile.check(["retain-all"])
