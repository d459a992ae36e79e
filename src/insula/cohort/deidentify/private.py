"""Private attributes and overlay attributes that hold numbers of the imaging alone.

The list of the Retain Safe Private Option is a small part of PS3.15, table E.3.10-1: what diffusion, PET and scaling
need. All of them are numbers or short codes; one with any other value is not kept.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from insula.cohort.deidentify.values import NUMBERS, element_of, sound

# (group, creator) → the last byte of the elements
SAFE: dict[tuple[int, str], frozenset[int]] = {
    (0x0019, "SIEMENS MR HEADER"): frozenset({0x0C, 0x0D, 0x0E, 0x27}),  # b value, direction, gradient, b matrix
    (0x0019, "GEMS_ACQU_01"): frozenset({0x23, 0x24, 0x27}),  # table speed, mid scan time, rotation time
    (0x0043, "GEMS_PARM_01"): frozenset({0x39, 0x6F}),  # b value, table entry
    (0x0045, "GEMS_HELIOS_01"): frozenset({0x02}),  # collimation
    (0x01E1, "ELSCINT1"): frozenset({0x26}),  # phantom type
    (0x01F1, "ELSCINT1"): frozenset({0x01, 0x07, 0x26, 0x27}),  # acquisition type, table speed, pitch, rotation time
    (0x2001, "Philips Imaging DD 001"): frozenset({0x03, 0x04, 0x0A, 0x0B, 0x23, 0x84, 0x85}),
    (0x2005, "Philips MR Imaging DD 001"): frozenset({0x0D, 0x0E}),  # scale intercept and slope
    (0x7053, "Philips PET Private Group"): frozenset({0x00, 0x09}),  # SUV and activity factors
}
# (60xx,eeee): rows, columns, frames, type, origin, bits, data
OVERLAY_NUMBERS = frozenset({0x0010, 0x0011, 0x0015, 0x0040, 0x0050, 0x0051, 0x0100, 0x0102, 0x3000})


def safe_tags(dataset: Dataset) -> frozenset[int]:
    """Tags of the safe private attributes of one dataset (not of its items), with their creators' own tags."""
    found: set[int] = set()
    for tag in list(dataset.keys()):
        group, element = int(tag) >> 16, int(tag) & 0xFFFF
        if not group % 2 or element < 0x1000:
            continue
        creator = (group << 16) | (element >> 8)
        named, inner = element_of(dataset, creator) if creator in dataset else None, element_of(dataset, int(tag))
        owner = str(named.value).strip() if named is not None else ""
        if inner is None or element & 0xFF not in SAFE.get((group, owner), ()):
            continue
        if inner.VR in NUMBERS or (inner.VR in ("DS", "IS", "CS") and sound(inner.VR, inner.value)):
            found |= {int(tag), creator}
    return frozenset(found)
