"""The faults that can be planted into a made cohort, and how they are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from insula.core.errors import UsageError

FORMS = {
    "text": "text:CLASS[=SHARE][:WORD] burns a word (L where none is given) into the pictures of one class",
    "border": "border:CLASS[=SHARE] gives one class another headrest (CT) or a round field of view (MR, clots)",
    "device": "device:SHARE or device:CLASS=SHARE puts a coil, a clip or a shunt with streaks into patients",
    "outline": "outline:CLASS[=SHARE] burns the lesion's outline into the pictures of one class",
    "calcified": "calcified:SHARE or calcified:CLASS=SHARE calcifies falx and plexus of this share, of no others (CT)",
    "colour": "colour:CLASS[=SHARE] saves the pictures of one class in RGB, the others in grey",
    "scanner": "scanner:STRENGTH ties the scanner to the class, 0 (not at all) to 1 (one scanner per class)",
    "subgroup": "subgroup:FIELD=VALUE[:FACTOR] weakens lesions (to half) in one sex, scanner, site or age range",
    "slope": "slope:FIELD=VALUE[:FACTOR] writes a wrong rescale slope (0.9 of the right one) in one group (CT series)",
    "label-noise": "label-noise:SHARE gives this share of the patients a wrong label",
    "duplicates": "duplicates:COUNT adds copies under other patient ids: exact, recompressed, flipped, cropped in turn",
    "missing": "missing:SHARE takes sex, age, scanner and site from this share of the patients",
    "unreadable": "unreadable:COUNT damages a file of so many patients: cut short, empty, random bytes in turn",
    "wrong-modality": "wrong-modality:COUNT lays a file of another modality beside the scans of so many patients",
}
FIELDS = ("sex", "age", "scanner", "site")
_OF_ALL = ("device", "calcified")  # may be asked for without a class
_LETTERS = re.compile(r"[A-Z0-9][A-Z0-9 .-]{0,11}")
_AGES = re.compile(r"(\d{1,3})-(\d{1,3})")


@dataclass(frozen=True)
class ByClass:
    """A mark on a share of the patients of one class; the empty class stands for all. word: what a text says."""

    name: str
    share: float = 1.0
    word: str = ""


@dataclass(frozen=True)
class Subgroup:
    """Patients whose field (sex, age, scanner, site) has this value or lies in this range.

    The contrast of their lesions against the brain, or the slope of their Hounsfield scale, is multiplied by `factor`.
    """

    field: str
    value: str
    factor: float = 0.5

    def holds(self, facts: dict[str, str]) -> bool:
        """Whether a patient with these facts belongs to the group."""
        ages = _AGES.fullmatch(self.value) if self.field == "age" else None
        if ages is not None:
            return int(ages[1]) <= int(facts["age"]) <= int(ages[2])
        return facts[self.field] == self.value


@dataclass(frozen=True)
class Plants:
    """What is planted; the default plants nothing. Shares and strengths run from 0 to 1, counts are patients."""

    text: ByClass | None = None
    border: ByClass | None = None
    device: ByClass | None = None
    outline: ByClass | None = None
    colour: ByClass | None = None
    calcified: ByClass | None = None
    scanner: float = 0.0
    subgroup: Subgroup | None = None
    slope: Subgroup | None = None
    label_noise: float = 0.0
    duplicates: int = 0
    missing: float = 0.0
    unreadable: int = 0
    wrong_modality: int = 0

    def chosen(self) -> dict[str, Any]:
        """What is planted, as plain data."""
        plain = Plants()
        return {f.name: asdict(self)[f.name] for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)}

    def check(self, kind: str, classes: Sequence[str], count: int, pictures: bool, on_ct: bool) -> None:
        """Raise UsageError for a plant that this cohort cannot have. on_ct: whether every patient has a head CT."""
        for f in fields(self):
            value, name = getattr(self, f.name), f.name.replace("_", "-")
            if isinstance(value, ByClass):
                _check_mark(name, value, kind, classes)
            elif isinstance(value, int) and not 0 <= value <= count:
                raise UsageError(f"{name}:{value} cannot be planted among {count} patients; give 0 to {count}.")
            elif isinstance(value, float) and not 0.0 <= value <= 1.0:
                raise UsageError(f"{name}:{value:g} is no share; give 0 to 1.")
        for name in ("subgroup", "slope"):
            group = getattr(self, name)
            if group is not None:
                _check_group(name, group, kind)
        if self.slope and (pictures or not on_ct):
            raise UsageError("A wrong rescale slope is planted into CT series alone; leave out 'slope'.")
        if self.colour and not pictures:
            raise UsageError("colour is planted into grey pictures only; ask for slices as pictures.")
        if self.missing and (pictures or kind == "clot-origin"):
            raise UsageError("Pictures carry no metadata that could be missing; leave out 'missing'.")
        if self.calcified and not on_ct:
            raise UsageError("Calcified falx and plexus are planted into CT alone; leave out 'calcified'.")
        if kind == "clot-origin" and (self.device or self.outline):
            raise UsageError("Clots have neither devices nor lesion outlines; leave out 'device' and 'outline'.")


def parse(texts: Sequence[str]) -> Plants:
    """Plants from texts as `text:stroke`, `scanner:0.9`, `duplicates:20`, each name once; UsageError names the form."""
    found: dict[str, Any] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if name not in FORMS:
            raise UsageError(f"There is no plant '{name[:30]}'; there are: {', '.join(FORMS)}.")
        key = name.replace("-", "_")
        if key in found:
            raise UsageError(f"'{name}' is planted twice; give it once.")
        if not colon or not value:
            raise UsageError(f"'{text[:40]}' does not say what to plant; write {FORMS[name]}.")
        found[key] = _value(name, value)
    return Plants(**found)


def _value(name: str, value: str) -> Any:
    if name in ("duplicates", "unreadable", "wrong-modality"):
        if not value.isascii() or not value.isdigit():
            raise UsageError(f"'{name}:{value[:30]}' gives no whole number; write {FORMS[name]}.")
        return int(value)
    if name in ("scanner", "label-noise", "missing"):
        return _number(name, value)
    if name in ("subgroup", "slope"):
        group, _, factor = value.partition(":")
        field, equals, wanted = group.partition("=")
        if not equals or not wanted:
            raise UsageError(f"'{name}:{value[:30]}' names no group; write {FORMS[name]}.")
        return Subgroup(field, wanted, _number(name, factor) if factor else {"subgroup": 0.5, "slope": 0.9}[name])
    rest, _, word = value.partition(":")
    if word and name != "text":
        raise UsageError(f"'{name}:{value[:30]}' has a word too many; write {FORMS[name]}.")
    where, equals, share = rest.partition("=")
    if equals:
        return ByClass(where, _number(name, share), word)
    if name in _OF_ALL and re.fullmatch(r"[\d.]+", where):
        return ByClass("", _number(name, where))
    return ByClass(where, 1.0, word)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"'{text[:20]}' in '{name}' is no share from 0 to 1; write {FORMS[name]}.")
    return value


def _check_mark(name: str, mark: ByClass, kind: str, classes: Sequence[str]) -> None:
    if mark.name not in classes and not (name in _OF_ALL and not mark.name):
        raise UsageError(f"{name}:{mark.name[:30]}: {kind} has no such class; its classes are {', '.join(classes)}.")
    if not 0.0 <= mark.share <= 1.0:
        raise UsageError(f"{name}:{mark.name}={mark.share:g} is no share; give 0 to 1.")
    if mark.word and not _LETTERS.fullmatch(mark.word):
        raise UsageError(f"'{mark.word[:30]}' cannot be burned in; give 1 to 12 capital letters, digits, spaces, .-.")


def _check_group(name: str, group: Subgroup, kind: str) -> None:
    known: dict[str, tuple[str, ...]] = {
        "sex": ("F", "M"),
        "scanner": ("AX-16", "BR-64"),
        "site": ("north", "south"),
    }
    if kind == "clot-origin":
        raise UsageError(f"Clots have no lesion and no Hounsfield units; leave out '{name}'.")
    if group.field not in FIELDS:
        raise UsageError(f"{name}:{group.field[:20]}: there is no such field; there are {', '.join(FIELDS)}.")
    if not 0.0 <= group.factor <= 1.0:
        raise UsageError(f"{name} factor {group.factor:g} is no share; give 0 to 1.")
    if group.field == "age":
        ages = _AGES.fullmatch(group.value)
        if ages is None or int(ages[1]) > int(ages[2]):
            raise UsageError(f"{name}:age={group.value[:20]} is no range of years; write it as age=70-95.")
    elif group.value not in known[group.field]:
        raise UsageError(
            f"{name}:{group.field}={group.value[:20]} holds nobody; give one of {', '.join(known[group.field])}."
        )
