"""Class folders: CLASS/patient/files or CLASS/file, also below train, val and test folders."""

from __future__ import annotations

from collections.abc import Sequence

from insula.cohort import labels
from insula.cohort.found import Aside, Found
from insula.cohort.grouping import Member
from insula.cohort.layouts import masks
from insula.cohort.layouts.request import SPLITS, Laid, Request
from insula.core.errors import CohortError
from insula.core.types import Split


def fits(request: Request) -> str:
    """Why this layout is the folder's, or "" where no folder bears the name of a class."""
    split, known, unknown = _classes(request)
    if not known:
        return ""
    where = "below train/val/test folders, " if split else ""
    more = f" (others: {listed(unknown)})" if unknown else ""
    return f"{where}the folders {listed(known)} are classes of the recipe{more}"


def lay(request: Request) -> Laid:
    """Class, split and patient of each file by the folders it lies in.

    A patient pattern comes before a patient's folder, and that before the PatientID of DICOM. Raises CohortError for
    folders that are no classes, and where only some files have a known patient.
    """
    recipe, root, aside = request.recipe, request.root, request.aside
    found = masks.with_suffix(request.found, request.suffix, aside)
    found, mask_of = masks.set_apart(found, aside)
    split_first = _split_first(found)
    members: list[Member] = []
    unknown: set[str] = set()
    for item in found:
        parts = item.path.split("/")
        split: Split = SPLITS[parts[0].lower()] if split_first and len(parts) > 1 else ""
        parts = parts[1:] if split else parts
        if len(parts) < 2:
            aside.append(Aside(item.path, "it lies in no class folder"))
            continue
        meaning = labels.named(parts[0], recipe.target)
        if meaning is None:
            unknown.add(parts[0])
            continue
        if request.pattern is not None:
            patient = request.patient_of(item.path)
            if patient is None:
                aside.append(Aside(item.path, "the patient pattern does not match its path"))
                continue
        elif len(parts) > 2:
            patient = parts[1]
        else:
            patient = item.header.attributes.get("patient_id") if item.header is not None else None
        mask = mask_of.get(item.path, "") if item.kind == "nifti" or recipe.input.unit == "image" else ""
        members.append(Member(item, patient, meaning, split, mask))
    if unknown:
        raise CohortError(
            f"'{root.name}' has the class folders {listed(unknown)}, which recipe '{recipe.name}' does "
            f"not know (its classes: {', '.join(recipe.target.classes)}); rename the folders, set the classes "
            f"(--set targets.{recipe.target_name}.classes=[...]), or add a {labels.NAME}."
        )
    if len({m.patient is None for m in members}) > 1:
        raise CohortError(
            f"Folder '{root.name}' mixes files of known and of unknown patients; put each patient's files into "
            "a folder of its own or give --patient-pattern."
        )
    return Laid(members)


def tops(request: Request) -> list[str]:
    """The names of the folders that could be classes, in order."""
    _, known, unknown = _classes(request)
    return sorted({*known, *unknown})


def listed(names: Sequence[str] | set[str], most: int = 6) -> str:
    """Names in order, the first few."""
    ordered = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def _split_first(found: Sequence[Found]) -> bool:
    names = {item.path.split("/")[0].lower() for item in found if "/" in item.path}
    return bool(names) and names <= SPLITS.keys()


def _classes(request: Request) -> tuple[bool, set[str], set[str]]:
    """Whether split folders come first, the class folders that the recipe knows, and the others."""
    split = _split_first(request.found)
    known: set[str] = set()
    unknown: set[str] = set()
    for item in request.found:
        parts = item.path.split("/")[split:]
        if len(parts) > 1:
            (unknown if labels.named(parts[0], request.recipe.target) is None else known).add(parts[0])
    return split, known, unknown
