"""The table of DICOM PS3.15 (E.1-1, edition 2026c): what each attribute's action is, with each option."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from insula.core.errors import UsageError

_FILES = ("profile_to_003a.csv", "profile_from_0040.csv")  # by the group of the tag
_COLUMNS = (
    "safe_private",
    "uids",
    "device",
    "institution",
    "patient",
    "full_dates",
    "modified_dates",
    "descriptors",
    "structured_content",
    "graphics",
)


@dataclass(frozen=True)
class Option:
    """One option of the profile: its column of the table, and its code and meaning in CID 7050 (PS3.16)."""

    column: str
    code: str
    meaning: str


BASIC = Option("basic", "113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = Option("", "113101", "Clean Pixel Data Option")
OPTIONS: Mapping[str, Option] = {
    "clean-graphics": Option("graphics", "113103", "Clean Graphics Option"),
    "clean-structured-content": Option("structured_content", "113104", "Clean Structured Content Option"),
    "clean-descriptors": Option("descriptors", "113105", "Clean Descriptors Option"),
    "full-dates": Option("full_dates", "113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "shifted-dates": Option(
        "modified_dates", "113107", "Retain Longitudinal Temporal Information Modified Dates Option"
    ),
    "retain-patient": Option("patient", "113108", "Retain Patient Characteristics Option"),
    "retain-device": Option("device", "113109", "Retain Device Identity Option"),
    "retain-uids": Option("uids", "113110", "Retain UIDs Option"),
    "retain-safe-private": Option("safe_private", "113111", "Retain Safe Private Option"),
    "retain-institution": Option("institution", "113112", "Retain Institution Identity Option"),
}


@dataclass(frozen=True)
class Rule:
    """One row: tag as 8 hex digits (`x` for any digit) or `private`, the basic action, and option → K or C."""

    tag: str
    keyword: str
    basic: str
    options: Mapping[str, str]

    def action(self, options: Iterable[str]) -> str:
        """The action under some options: C before K where several speak, the basic one where none does."""
        said = {self.options[name] for name in options if name in self.options}
        return "C" if "C" in said else "K" if "K" in said else self.basic


@cache
def rules() -> tuple[Rule, ...]:
    """All rows of the table, retired attributes too."""
    lines: list[dict[str, str]] = []
    for name in _FILES:
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        lines += csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    names = {option.column: name for name, option in OPTIONS.items()}
    return tuple(
        Rule(
            tag=line["tag"],
            keyword=line["keyword"],
            basic=line["basic"],
            options={names[c]: line[c] for c in _COLUMNS if line[c]},
        )
        for line in lines
    )


@cache
def _by_tag() -> Mapping[int, Rule]:
    return {int(rule.tag, 16): rule for rule in rules() if rule.tag != "private" and "x" not in rule.tag}


def rule(tag: int) -> Rule | None:
    """The row of a public attribute, or None where the table does not name it; curves and overlays have their own."""
    return _by_tag().get(tag)


def check(options: Iterable[str]) -> frozenset[str]:
    """The options as a set; UsageError for an unknown one or two that contradict each other."""
    chosen = frozenset(options)
    for name in sorted(chosen - OPTIONS.keys()):
        raise UsageError(f"'{name}' is no option of the profile; the options are {', '.join(OPTIONS)}.")
    if {"full-dates", "shifted-dates"} <= chosen:
        raise UsageError("Dates can be kept in full or shifted, not both; choose one of full-dates and shifted-dates.")
    return chosen


# Combined actions are settled by what the image IODs of PS3.3 ask for. Optional there (Type 3): removed.
_OPTIONAL_NAMES = """
InstanceCreationDate InstanceCreationTime SeriesDate SeriesTime AcquisitionDate AcquisitionTime InstitutionName
InstitutionCodeSequence StationName OperatorsName OperatorIdentificationSequence ReferencedStudySequence
ReferencedPerformedProcedureStepSequence ProtocolName AcquisitionDeviceProcessingDescription DetectorID
DateOfLastDetectorCalibration TimeOfLastDetectorCalibration StartAcquisitionDateTime EndAcquisitionDateTime
RequestedProcedureDescription ObservationDateTime WaveformAnnotationSequence TreatmentSite RTTreatmentApproachLabel
"""
_OPTIONAL = frozenset(_OPTIONAL_NAMES.split())
# Required there and allowed to be empty (Type 2): emptied.
_MAY_BE_EMPTY = frozenset({"ContentDate", "ContentTime", "ContrastBolusAgent", "ContentCreatorName"})
# Required with a value (Type 1 or 1C) by the enhanced multi-frame IODs, optional or empty in the others.
_ENHANCED = frozenset({"AcquisitionDateTime", "DeviceSerialNumber", "ContentDate", "ContentTime"})


def settle(action: str, keyword: str, enhanced: bool) -> str:
    """One action out of a combined one (`X/Z/D` and the like).

    By the type of the attribute in the image IODs where that is known, else the last and so the one that keeps a file
    valid under any IOD: a value is gone in each case. `X/Z/U*` keeps the sequence with its UIDs mapped.
    """
    if "/" not in action:
        return action
    if enhanced and keyword in _ENHANCED and action.endswith("D"):
        return "D"
    if keyword in _OPTIONAL or keyword in _ENHANCED - _MAY_BE_EMPTY:
        return "X"
    if keyword in _MAY_BE_EMPTY:
        return "Z"
    return action.rsplit("/", 1)[1]
