"""Files that call themselves one series and are not one scan: of two patients, studies, scales or places."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import ScanError
from insula.scans.doubt import DOUBT

if TYPE_CHECKING:  # as in `doubt`
    from insula.scans.header import Header

# what all files of a series have in common (PS3.3, A.1.2): the attribute, and what several of it are called
_SHARED = {"patient_id": "patients", "study_uid": "studies"}
_LOOK = 8  # one pixel in so many of a side tells most slices apart
COVERED = 1.5  # gap over slice thickness up to which nothing lies between two slices unseen


def check(named: dict[str, str], other: Header) -> None:
    """Refuse a file that names another patient or study than one before it; one that names none is let through.

    named: what those before it named, of one series UID; the file's own names are added. Raises ScanError, which
    repeats no name.
    """
    for key, several in _SHARED.items():
        name = other.attributes.get(key)
        if name and named.setdefault(key, name) != name:
            raise ScanError(
                f"The files have one series UID and are of several {several}: they were mixed up or numbered wrongly; "
                "give the files of one scan."
            )


def frames_of_reference(headers: Sequence[Header]) -> tuple[str, ...]:
    """What to say of slices whose places are measured from different origins."""
    found = {name for h in headers if (name := h.attributes.get("frame_of_reference"))}
    if len(found) < 2:
        return ()
    return (f"{DOUBT}the files name {len(found)} frames of reference, between which places cannot be compared",)


def scales(of_each: Sequence[tuple[float, float]], modality: str) -> tuple[str, ...]:
    """What to say of CT slices that are rescaled differently, which no scanner does. of_each: (slope, intercept)."""
    count = len(set(of_each))
    if modality != "CT" or count < 2:
        return ()
    return (f"{DOUBT}the slices are rescaled to Hounsfield units in {count} different ways",)


def unseen(step: float, thickness: float | None) -> tuple[str, ...]:
    """What to say of slices (mm) that lie farther apart (mm) than they are thick."""
    if thickness is None or step <= COVERED * thickness:
        return ()
    return (
        f"slices {thickness:.1f} mm thick lie {step:.1f} mm apart: {1 - thickness / step:.0%} of what lies between the "
        "first and the last was not seen",
    )


def repeated_pictures(array: NDArray[np.float32]) -> tuple[str, ...]:
    """What to say of slices (C, Z, Y, X) that are equal to the last bit, as no two measured ones are but blank ones."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for z in range(array.shape[1]):
        sample = array[:, z, ::_LOOK, ::_LOOK]
        alike[sample.tobytes()].append(z)
    count = 0
    for places in alike.values():
        seen: set[bytes] = set()  # and not each compared with each, of which there may be thousands
        for z in places if len(places) > 1 else ():
            whole = hashlib.blake2b(array[:, z].tobytes()).digest()
            count += whole in seen and bool(np.ptp(array[:, z]))
            seen.add(whole)
    if not count:
        return ()
    return (f"{count} slice{'s have' if count > 1 else ' has'} the very picture of another one at another place",)
