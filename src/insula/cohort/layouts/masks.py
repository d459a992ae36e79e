"""Masks and segmentations that lie beside scans: told by their names, set apart, and joined to the scan they are of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from insula.cohort.found import Aside, Found
from insula.cohort.layouts.request import stem

REASON = "a mask by its name, not a scan"
_WORD = re.compile(
    r"[_.-](?:mask|masks|seg|segm|segmentation|dseg|probseg|label|labels|labelmap|lesion|lesions|roi|gt)\d*$",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?:mask|seg|segmentation|lesion|labels?|roi)\d*$", re.IGNORECASE)


def is_mask(path: str) -> bool:
    """Whether a file's name ends as masks are named: `x_mask`, `x_seg`, `x-label`, or is `mask` and the like alone."""
    name = stem(path)
    return bool(_WORD.search(name) or _ALONE.fullmatch(name))


def set_apart(
    found: Sequence[Found], aside: list[Aside], named: Collection[str] = (), join: bool = True
) -> tuple[list[Found], dict[str, str]]:
    """The files without the masks among them, which go to `aside`, and for each scan the path of its mask.

    NIfTI and NumPy files are masks by name alone, pictures only where the picture that they are of lies beside them.
    Files in `named` stay, whatever they are called; so does everything where nothing but masks would be left. A mask
    is joined to a scan of its folder whose name it extends, or to the only one there, when the sizes agree.
    """
    marked = [f for f in found if f.kind != "dicom" and f.path not in named and is_mask(f.path)]
    apart = {f.path for f in marked}
    rest = [f for f in found if f.path not in apart]
    beside: dict[str, dict[str, Found]] = defaultdict(dict)
    for item in rest:
        beside[item.path.rpartition("/")[0]][stem(item.path)] = item
    masks: dict[str, str] = {}
    kept: set[str] = set()
    for mask in marked:
        place = beside.get(mask.path.rpartition("/")[0], {})
        partner = place.get(_WORD.sub("", stem(mask.path)))
        if partner is None and mask.kind not in ("nifti", "npy"):
            kept.add(mask.path)
            continue
        partner = partner or (next(iter(place.values())) if len(place) == 1 else None)
        if join and partner is not None and partner.attributes.get("size") == mask.attributes.get("size"):
            masks.setdefault(partner.path, mask.path)
    if not rest and len(kept) < len(marked):
        return list(found), {}
    aside += [Aside(m.path, REASON) for m in marked if m.path not in kept]
    return [f for f in found if f.path not in apart or f.path in kept], masks


def with_suffix(found: Sequence[Found], suffix: str | None, aside: list[Aside]) -> list[Found]:
    """The files without the NIfTI files whose name does not end with `_suffix`; without a suffix all of them."""
    if suffix is None:
        return list(found)
    ending = suffix.lower().lstrip("_")
    taken: list[Found] = []
    for item in found:
        name = stem(item.path).lower()
        if item.kind == "nifti" and name != ending and not name.endswith((f"_{ending}", f"-{ending}")):
            aside.append(Aside(item.path, f"its name does not end with the suffix {suffix}"))
        else:
            taken.append(item)
    return taken
