"""BIDS: `sub-*/[ses-*/]anat/*_T1w.nii.gz`, patients and labels in `participants.tsv`, scanners in JSON sidecars.

Gorgolewski et al., The brain imaging data structure, Scientific Data 3, 160044 (2016).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from insula.cohort import labels
from insula.cohort.found import Aside, Found
from insula.cohort.grouping import Member
from insula.cohort.labels import Row
from insula.cohort.layouts.request import Laid, Request
from insula.cohort.layouts.sidecars import Sidecars, parts
from insula.core.errors import CohortError

PARTICIPANTS = "participants.tsv"
_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_LESION = re.compile(r"lesion|tumou?r|stroke|ha?emorrhage|infarct|roi", re.IGNORECASE)
_SUFFIX = {"MR": "T1w", "CT": "CT"}
_CASE_FACTS = {"institution": "site", "manufacturer": "manufacturer", "scanner": "scanner"}
_MASK_SUFFIXES = ("mask", "dseg", "roi")


def fits(request: Request) -> str:
    """Why this layout is the folder's, or "" where there are no subject folders with a description of the data."""
    subjects = sum(_SUBJECT.fullmatch(p.name) is not None for p in request.root.glob("sub-*") if p.is_dir())
    said = next((n for n in (PARTICIPANTS, "dataset_description.json") if (request.root / n).is_file()), "")
    return f"{said} and {subjects} sub-* folder(s) as in BIDS" if said and subjects else ""


def lay(request: Request) -> Laid:
    """One member for each NIfTI file of the wanted suffix; the participants' other columns are its attributes.

    The suffix is that of `--suffix`, else T1w for MR and CT for CT. Labels come from `--labels` or participants.tsv,
    where a column is called `label`, as the recipe's target, or as `--label-column` says. A mask of a lesion below
    `derivatives` (its entity label or desc says so) is joined to the scan of its subject, session and size. Raises
    CohortError where no file has the suffix, naming those that there are.
    """
    wanted = request.suffix or _SUFFIX.get(request.recipe.input.modality, "T1w")
    scans: list[Found] = []
    derived: list[Found] = []
    other: Counter[str] = Counter()
    for item in request.found:
        first = item.path.split("/")[0]
        entities, suffix = parts(item.path)
        if first == "derivatives":
            derived.append(item)
        elif item.kind != "nifti" or not _SUBJECT.fullmatch(first) or first not in entities:
            request.aside.append(Aside(item.path, "no scan of a BIDS subject (sub-*/.../sub-*_SUFFIX.nii.gz)"))
        elif suffix.lower() != wanted.lower():
            other[suffix] += 1
            request.aside.append(Aside(item.path, f"its suffix is {suffix}, and {wanted} is wanted"))
        else:
            scans.append(item)
    if not scans:
        there = ", ".join(f"{suffix} ({count})" for suffix, count in other.most_common(6)) or "none"
        raise CohortError(
            f"'{request.root.name}' holds no scan with the BIDS suffix {wanted}; its suffixes: {there}. "
            "Choose one with --suffix."
        )
    rows = _rows(request)
    sidecars = Sidecars(request.root)
    masks, joined = _masks(derived), set()
    members: list[Member] = []
    for item in scans:
        subject = item.path.split("/")[0]
        row = rows.get(subject) or rows.get(subject.removeprefix("sub-"))
        told = sidecars.facts(item.path)
        facts = {new: told[old] for old, new in _CASE_FACTS.items() if old in told}
        facts |= {k: v for k, v in (row.attributes if row else {}).items() if v.lower() != "n/a"}
        mask = next((m.path for m in masks[_who(item)] if m.attributes.get("size") == item.attributes.get("size")), "")
        joined.add(mask)
        with_facts = Found(item.path, item.kind, item.header, {**item.attributes, **told})
        members.append(
            Member(with_facts, subject, row.labels if row else None, "", mask, facts, row.number if row else 0)
        )
    request.aside.extend(Aside(i.path, "a derivative, not a scan") for i in derived if i.path not in joined)
    subjects = {m.patient for m in members}
    without = sum(not {row.patient, f"sub-{row.patient}"} & subjects for row in rows.values())
    return Laid(members, without)


def _rows(request: Request) -> dict[str, Row]:
    """Patient → row; of the table given, else of participants.tsv, which may have no labels at all."""
    target, root = request.recipe.target, request.root
    if request.table is not None:
        rows = labels.read(request.table, target, root, request.column)
    elif (root / PARTICIPANTS).is_file():
        named = labels.columns(root / PARTICIPANTS)
        name = request.column or next((c for c in ("label", request.recipe.target_name) if c in named), None)
        rows = labels.read(root / PARTICIPANTS, target, root, name, unlabelled=True)
    else:
        rows = []
    return {row.patient: row for row in reversed(rows)}


def _masks(derived: list[Found]) -> dict[tuple[str, str], list[Found]]:
    """Masks of lesions below derivatives by subject and session; masks of brains and tissues are none."""
    found: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for item in derived:
        entities, suffix = parts(item.path)
        said = [e.partition("-")[2] for e in entities if e.startswith(("label-", "desc-"))]
        if item.kind == "nifti" and suffix in _MASK_SUFFIXES and any(_LESION.search(value) for value in said):
            found[_who(item)].append(item)
    return found


def _who(item: Found) -> tuple[str, str]:
    """Subject and session of a file by its name."""
    entities, _ = parts(item.path)
    by = {e.partition("-")[0]: e for e in entities}
    return by.get("sub", ""), by.get("ses", "")
