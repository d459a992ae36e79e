"""Cleaning one DICOM dataset in place by the table, in every nested item too."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from insula.cohort.deidentify import dates, private, profile
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.tally import Tally
from insula.cohort.deidentify.values import BULK, REMOVED, TEXTS, dummy, element_of, sound, texts, value_of
from insula.cohort.deidentify.words import KNOWN, cleaned

_SUBJECT = frozenset({"PatientID", "PatientName"})
# UIDs that name a class, a coding scheme or a registry and not an instance
_CLASS_UIDS = re.compile(r"(SOPClassUID|SOPClassesSupported|CodingSchemeUID|ContextUID|MappingResourceUID)$")
_REGISTERED = "1.2.840.10008."
_BULK_NAMES = """
PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths LUTData
RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData
AlphaPaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData
SegmentedBluePaletteColorLookupTableData
"""
_BULK_KEPT = frozenset(_BULK_NAMES.split())
_TEXTS_KEPT = frozenset({"LongCodeValue", "URNCodeValue"})
_MARKS = frozenset({"DeidentificationMethod", "DeidentificationMethodCodeSequence"})
_IDENTIFIER_NAMES = """
PatientName PatientID PatientBirthName OtherPatientNames OtherPatientIDs PatientMotherBirthName AccessionNumber
ReferringPhysicianName PerformingPhysicianName PhysiciansOfRecord NameOfPhysiciansReadingStudy RequestingPhysician
OperatorsName AdmissionID PatientTelephoneNumbers PatientAddress
"""
_IDENTIFIERS = _IDENTIFIER_NAMES.split()
_WORD = re.compile(r"\w+")
_SHORTEST = 4
OverlayCheck = Callable[[Dataset, int], bool]


@dataclass(frozen=True)
class _Context:
    key: Key
    options: frozenset[str]
    pseudonym: str
    days: int
    enhanced: bool
    secrets: frozenset[str]
    tally: Tally
    overlay_clear: OverlayCheck | None


def subject(dataset: Dataset) -> str:
    """What tells one patient's files from another's: PatientID, else the study's or the file's own UID."""
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"):
        if value := " ".join(texts(value_of(dataset, keyword))).strip():
            return value
    return ""


def clean(dataset: Dataset, key: Key, options: frozenset[str], overlay_clear: OverlayCheck | None = None) -> Tally:
    """Apply the profile to a parsed file, in place, and say what was done.

    overlay_clear: asked, under `clean-graphics`, whether the overlay of a group (0x60xx) shows no text; without it
    every overlay is removed. The pixel data are not looked at.
    """
    who = subject(dataset)
    context = _Context(
        key=key,
        options=options,
        pseudonym=key.name(who),
        days=key.days(who),
        enhanced="SharedFunctionalGroupsSequence" in dataset,
        secrets=_secrets(dataset),
        tally=Tally(),
        overlay_clear=overlay_clear,
    )
    _walk(dataset, context)
    return context.tally


def _walk(dataset: Dataset, context: _Context) -> None:
    overlays = _kept_overlays(dataset, context)
    safe = private.safe_tags(dataset) if "retain-safe-private" in context.options else frozenset()
    for tag in list(dataset.keys()):
        number, group = int(tag), int(tag) >> 16
        if number & 0xFFFF == 0 or group in (0x0000, 0x0002):  # lengths, commands, a file's meta group astray
            del dataset[tag]
            if rule := profile.rule(number):
                context.tally.removed[rule.keyword] += 1
        elif group % 2:
            if number in safe:
                context.tally.kept["private attribute"] += 1
            else:
                del dataset[tag]
                context.tally.removed["private attribute"] += 1
        elif 0x5000 <= group <= 0x50FF:
            del dataset[tag]
            context.tally.removed["curve"] += 1
        elif 0x6000 <= group <= 0x60FF:
            if group in overlays and number & 0xFFFF in private.OVERLAY_NUMBERS:
                context.tally.kept["overlay"] += 1
            else:
                del dataset[tag]
                context.tally.removed["overlay"] += 1
        else:
            _element(dataset, number, context)


def _element(dataset: Dataset, number: int, context: _Context) -> None:
    rule = profile.rule(number)
    keyword = (rule.keyword if rule else "") or keyword_for_tag(number)
    if keyword in _MARKS:
        return  # written anew in the end
    element = element_of(dataset, number)
    if element is None:
        del dataset[number]
        context.tally.removed[keyword or "unknown attribute"] += 1
        context.tally.notes.append("a value that cannot be decoded was removed")
        return
    if rule is None and not dictionary_has_tag(number):
        del dataset[number]
        context.tally.removed["unknown attribute"] += 1
        return
    action = rule.action(context.options) if rule else _unlisted(element, keyword)
    named = rule is not None
    if action.endswith("U*"):
        action = "recurse"
    action = profile.settle(action, keyword, context.enhanced)
    if action == "D" and element.VR == "UI":
        action = "U"
    if keyword in _SUBJECT and action in "ZD":
        _replace(dataset, element, context.pseudonym, context)
    elif action == "X":
        _remove(dataset, element, context)
    elif action == "Z":
        _replace(dataset, element, Sequence() if element.VR == "SQ" else None, context)
        context.tally.replaced[keyword] -= 1
        context.tally.emptied[keyword] += 1
    elif action == "D":
        _replace(dataset, element, dummy(element.VR, keyword), context)
    elif action == "U":
        _map_uids(dataset, element, context)
    elif element.VR == "SQ":
        for item in element.value or ():
            _walk(item, context)
        if named:
            context.tally.cleaned[keyword] += 1
    elif action == "C":
        _clean(dataset, element, context)
    else:
        _keep(dataset, element, context, named)


def _unlisted(element: DataElement, keyword: str) -> str:
    """The action for an attribute that the table does not name: kept, unless its VR could hold an identifier."""
    vr = element.VR
    if vr in ("DA", "DT", "TM", "PN", "AE", "AS", "LT", "ST", "UT", "UC", "UR"):
        return "D" if keyword == "TextValue" else "K" if keyword in _TEXTS_KEPT else "X"
    if vr == "UI":
        return "K" if _CLASS_UIDS.search(keyword) or _registered(element) else "U"
    if vr in BULK:
        return "K" if keyword in _BULK_KEPT else "X"
    return "K"


def _registered(element: DataElement) -> bool:
    return all(uid.startswith(_REGISTERED) for uid in texts(element.value))


def _remove(dataset: Dataset, element: DataElement, context: _Context) -> None:
    del dataset[element.tag]
    context.tally.removed[element.keyword or _name(element)] += 1


def _replace(dataset: Dataset, element: DataElement, value: Any, context: _Context) -> None:
    name = element.keyword or _name(element)
    dataset[element.tag] = DataElement(element.tag, "OB" if element.VR == "OB or OW" else element.VR, value)
    context.tally.replaced[name] += 1


def _map_uids(dataset: Dataset, element: DataElement, context: _Context) -> None:
    old = [uid for uid in texts(element.value) if uid]
    new = [uid if uid.startswith(_REGISTERED) else context.key.uid(uid) for uid in old]
    _replace(dataset, element, new[0] if len(new) == 1 else new or None, context)


def _clean(dataset: Dataset, element: DataElement, context: _Context) -> None:
    """Action C: dates moved, titles replaced by pseudonyms, texts cut to known words, anything else removed."""
    vr, parts = element.VR, texts(element.value)
    timezone = element.keyword == "TimezoneOffsetFromUTC"
    if vr in ("DA", "DT", "TM") or timezone:
        moved = [dates.shift("SH" if timezone else vr, part, context.days) for part in parts if part.strip()]
        if any(part is None for part in moved):
            _remove(dataset, element, context)
            context.tally.notes.append("a date that is none was removed")
            return
        new: Any = moved
    elif vr == "AE":
        new = [context.key.name(part)[:11] for part in parts if part.strip()]
    elif vr in TEXTS or vr == "CS":
        new = [cleaned(part) for part in parts]
    else:
        _remove(dataset, element, context)
        return
    value = new[0] if len(new) == 1 else new or None
    dataset[element.tag] = DataElement(element.tag, vr, value)
    context.tally.cleaned[element.keyword or _name(element)] += 1


def _keep(dataset: Dataset, element: DataElement, context: _Context, named: bool) -> None:
    vr = element.VR
    name = element.keyword or _name(element)
    if not sound(vr, element.value):
        _remove(dataset, element, context)
        context.tally.notes.append("a value that is not of its kind was removed")
        return
    if vr == "AS":
        ages = [dates.capped(part) for part in texts(element.value) if part]
        if any(age is None for age in ages):
            _remove(dataset, element, context)
            return
        dataset[element.tag] = DataElement(element.tag, vr, ages[0] if len(ages) == 1 else ages or None)
    elif vr in TEXTS or vr == "CS":
        said = {w.upper() for part in texts(element.value) for w in _WORD.findall(part)}
        if not named and said & context.secrets:
            _replace(dataset, element, REMOVED, context)
            context.tally.notes.append("a removed identifier that stood in another attribute too was replaced")
            return
    if named:
        context.tally.kept[name] += 1


def _secrets(dataset: Dataset) -> frozenset[str]:
    """Words of the names and numbers that are removed, to be looked for in attributes that stay."""
    found: set[str] = set()
    for keyword in _IDENTIFIERS:
        for part in texts(value_of(dataset, keyword)):
            found |= {word.upper() for word in _WORD.findall(part.replace("^", " "))}
    return frozenset(word for word in found if len(word) >= _SHORTEST and word not in KNOWN)


def _kept_overlays(dataset: Dataset, context: _Context) -> frozenset[int]:
    if "clean-graphics" not in context.options or context.overlay_clear is None:
        return frozenset()
    groups = {int(tag) >> 16 for tag in list(dataset.keys())} & set(range(0x6000, 0x6100, 2))
    return frozenset(group for group in groups if context.overlay_clear(dataset, group))


def _name(element: DataElement) -> str:
    rule = profile.rule(int(element.tag))
    return rule.keyword if rule and rule.keyword else f"({int(element.tag) >> 16:04X},{int(element.tag) & 0xFFFF:04X})"
