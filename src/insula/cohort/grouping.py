"""From files with a known place to cases: what belongs into one scan, and what the case is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from insula.cohort.found import Aside, Found
from insula.core.recipe import Recipe
from insula.core.types import Case, Scan, Split
from insula.scans import series
from insula.scans.read import PICTURES

_CASE_FACTS = {"sex": "sex", "age": "age", "manufacturer": "manufacturer", "scanner": "scanner", "institution": "site"}
_SCAN_FACTS = ("manufacturer", "scanner", "station", "institution", "kernel", "kvp", "field_strength", "body_part")


@dataclass(frozen=True)
class Member:
    """One file with the place that the layout gives it; patient None where nothing names one."""

    item: Found
    patient: str | None
    labels: tuple[str, ...] | None
    split: Split = ""
    mask: str = ""
    attributes: Mapping[str, str] | None = None
    row: int = 0


def cases(members: Sequence[Member], aside: list[Aside], recipe: Recipe) -> list[Case]:
    """One case per scan: per file for the unit image, per patient and series (or folder of pictures) for series.

    The files of a DICOM series are sorted by position; those of another orientation or size are added to `aside`.
    """
    groups: dict[tuple[object, ...], list[Member]] = {}
    for number, member in enumerate(members):
        groups.setdefault(_scan_key(member, number, recipe.input.unit), []).append(member)
    per_patient: Counter[str] = Counter(m[0].patient for m in groups.values() if m[0].patient is not None)
    merged = _merged_labels(members) if recipe.target.kind == "multilabel" else {}
    made: list[Case] = []
    keys: Counter[str] = Counter()
    for group in groups.values():
        first = group[0]
        scan, kept = _scan(group, aside)
        alone = first.patient is not None and recipe.input.unit == "series" and per_patient[first.patient] == 1
        name = str(first.patient) if alone else _key(kept, first.patient, recipe.input.unit)
        keys[name] += 1
        key = name if keys[name] == 1 else f"{name}#{keys[name]}"
        given = first.labels if first.row else merged.get(first.patient or "", first.labels)
        said = kept.header.attributes if kept.header is not None else {}
        facts = {new: said[old] for old, new in _CASE_FACTS.items() if old in said}
        made.append(
            Case(
                key=key,
                patient=first.patient if first.patient is not None else kept.path,
                scans={recipe.role: scan},
                labels={} if given is None else {recipe.target_name: given},
                attributes={**facts, **(first.attributes or {})},
                split=first.split,
            )
        )
    return made


def _merged_labels(members: Sequence[Member]) -> dict[str, tuple[str, ...]]:
    """A patient in several folders of a multilabel target has all their labels; `none` adds nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for member in members:
        if member.patient is not None and member.labels is not None and not member.row:
            had = found.get(member.patient, ())
            found[member.patient] = had + tuple(name for name in member.labels if name not in had)
    return found


def _scan_key(member: Member, number: int, unit: str) -> tuple[object, ...]:
    """What files share when they are one scan."""
    item = member.item
    folder = item.path.rpartition("/")[0]
    if unit == "image":
        return (number,)
    if item.header is not None:
        uid = item.header.series_uid
        return (member.patient, member.split, "dicom", member.row, uid or (folder if member.patient else item.path))
    if item.kind in PICTURES and member.patient is not None:
        return (member.patient, member.split, "pictures", member.row, folder)
    return (number,)


def _scan(group: list[Member], aside: list[Aside]) -> tuple[Scan, Found]:
    """The scan of a group of files, DICOM slices in the order of their positions, and its first file."""
    items = [m.item for m in group]
    first = items[0]
    headers = {m.item.header.path: m.item for m in group if m.item.header is not None}
    if len(items) > 1 and len(headers) == len(items):
        ordered, _ = series.ordered([i.header for i in items if i.header is not None])
        kept = {h.path for h in ordered}
        aside += [
            Aside(i.path, "another orientation, size, spacing or stack than its series")
            for p, i in headers.items()
            if p not in kept
        ]
        items = [headers[h.path] for h in ordered]
        first = items[len(items) // 2]
    attributes = dict(first.attributes)
    if first.header is not None:
        attributes |= {k: first.header.attributes[k] for k in _SCAN_FACTS if k in first.header.attributes}
    scan = Scan(
        paths=tuple(i.path for i in items),
        format=first.kind,
        study_uid=first.header.attributes.get("study_uid", "") if first.header is not None else "",
        series_uid=first.header.series_uid if first.header is not None else "",
        mask=group[0].mask,
        attributes=attributes,
    )
    return scan, first


def _key(item: Found, patient: str | None, unit: str) -> str:
    """A name for a case that is not its patient's only one."""
    if unit == "image" or patient is None:
        return item.path
    if item.header is not None:
        return f"{patient}/{item.header.series_uid or item.path}"
    return f"{patient}/{item.path.rpartition('/')[0]}" if item.kind in PICTURES else item.path
