"""One file: what kind it is, its cleaned bytes, and what was done to it, or why there is no copy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from insula.cohort.deidentify import (
    arrays,
    codestream,
    covered,
    dicom,
    find_text,
    marks,
    nifti,
    pictures,
    sidecar,
    stored,
)
from insula.cohort.deidentify.find_text import Box, Grey
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.tally import Tally
from insula.cohort.deidentify.values import value_of
from insula.core.errors import InsulaError, LimitError
from insula.scans import header, pixels, read
from insula.scans.header import Header

BurnedIn = Literal["blank", "quarantine", "keep"]
Status = Literal["written", "quarantined", "left out"]
SUFFIXES = {"dicom": ".dcm", "png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
_SUSPECT_MODALITIES = frozenset({"US", "IVUS", "XA", "RF", "SC", "OT", "ES", "XC", "GM", "SM"})
_ENCAPSULATED = "EncapsulatedDocument"
_EIGHT_BITS = 255.0
_INDEX = "an index of files, which would name them all"
_FLOATS = frozenset({0x7FE00008, 0x7FE00009})


@dataclass(frozen=True)
class Policy:
    """What is done to every file: options of the profile, what happens to writing in pictures, Tesseract or None."""

    options: frozenset[str]
    burned_in: BurnedIn
    program: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of one file. data is None where there is no copy, and reason says why.

    pixels: `checked` (searched for writing, none is left), `blanked`, `not checked`, or `none` (no picture).
    """

    status: Status
    kind: str
    reason: str = ""
    data: bytes | None = None
    suffix: str = ""
    pixels: str = "none"
    boxes: tuple[Box, ...] = ()
    tally: Tally = field(default_factory=Tally)
    on_head: int = 0


class _QuarantineError(Exception):
    """Why a readable file gets no copy, in a few words that hold nothing of it."""


def process(path: Path, key: Key, policy: Policy) -> Outcome:
    """Clean one file. Nothing is raised for a file that cannot be cleaned: it is quarantined, with a reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's and Pillow's warnings quote values
            kind = _kind(path)
    except MemoryError:
        return Outcome("quarantined", "unknown", "needs more memory than there is")
    except Exception as error:  # noqa: BLE001 - as in _guarded
        return Outcome("quarantined", "unknown", f"cannot be cleaned ({type(error).__name__})")
    if not kind:
        return Outcome("left out", "unknown", "no scan by its content")
    return _guarded(kind, lambda tally: _clean(path, kind, key, policy, tally))


def process_dicom(data: bytes, key: Key, policy: Policy) -> Outcome:
    """As `process`, of the bytes of a DICOM file that lies nowhere."""
    return _guarded("dicom", lambda tally: _dicom(Path("object"), key, policy, tally, data))


def _guarded(kind: str, work: Callable[[Tally], Outcome]) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's and Pillow's warnings quote values
            return work(Tally())
    except _QuarantineError as error:
        return Outcome("quarantined", kind, str(error))
    except find_text.TooManyLinesError:
        return Outcome("quarantined", kind, "too many marks that look like writing to read them all")
    except LimitError:
        return Outcome("quarantined", kind, "asks for more memory, depth or time than a file may have")
    except InsulaError:
        return Outcome("quarantined", kind, "cannot be read without doubt: damaged, or of a form not known")
    except MemoryError:
        return Outcome("quarantined", kind, "needs more memory than there is")
    except Exception as error:  # noqa: BLE001 - a file that one library chokes on must not stop the others, nor be copied
        return Outcome("quarantined", kind, f"cannot be cleaned ({type(error).__name__})")


def identifiers(path: Path) -> tuple[str, tuple[str, ...]]:
    """The patient and the UIDs of a DICOM file that was cleaned, for the mapping alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in process
        dataset = header.load(path, pixels=False)
        uids = [value_of(dataset, f"{part}InstanceUID") for part in ("Study", "Series", "SOP")]
        return dicom.subject(dataset), tuple(str(uid) for uid in uids if uid)


def _kind(path: Path) -> str:
    if path.suffix.lower() == ".json":
        return "sidecar"
    if path.stat().st_size == 0:
        return ""
    try:
        return read.sniff(path)
    except InsulaError:
        return ""


def _clean(path: Path, kind: str, key: Key, policy: Policy, tally: Tally) -> Outcome:
    if kind == "dicom":
        return _dicom(path, key, policy, tally)
    if kind in SUFFIXES:
        return _picture(path, kind, policy, tally)
    if kind == "nifti":
        data = nifti.clean(path, tally)
        suffix = ".nii.gz" if data.startswith(b"\x1f\x8b") else ".nii"
        return Outcome("written", kind, data=data, suffix=suffix, pixels="not checked", tally=tally)
    if kind == "npy":
        data = arrays.clean(path, tally)
        suffix = ".npz" if data.startswith(b"PK") else ".npy"
        return Outcome("written", kind, data=data, suffix=suffix, pixels="not checked", tally=tally)
    if kind == "sidecar":
        data = sidecar.clean(path, policy.options, tally)
        return Outcome("written", kind, data=data, suffix=".json", tally=tally)
    if kind == "dicomdir":
        return Outcome("left out", "dicom", _INDEX)
    raise _QuarantineError(f"files of the kind {kind} are not cleaned")


def _picture(path: Path, kind: str, policy: Policy, tally: Tally) -> Outcome:
    boxes: tuple[Box, ...] = ()
    state = "not checked"
    if policy.program is not None and policy.burned_in != "keep":
        pages = pictures.grey(path)
        boxes = find_text.find(pages, policy.program)
        state = "checked"
        if boxes and policy.burned_in == "quarantine":
            raise _QuarantineError(f"writing in the picture ({len(boxes)} lines)")
        if boxes:
            _check_blanked(pages, boxes, policy.program)
    if not boxes:
        return Outcome(
            "written", kind, data=pictures.clean(path, kind, tally), suffix=SUFFIXES[kind], pixels=state, tally=tally
        )
    return Outcome(
        "written",
        kind,
        data=pictures.blanked(path, kind, boxes, tally),
        suffix=SUFFIXES[kind],
        pixels="blanked",
        boxes=boxes,
        tally=tally,
        on_head=covered.of_head(pages, boxes),
    )


def _dicom(path: Path, key: Key, policy: Policy, tally: Tally, data: bytes | None = None) -> Outcome:
    dataset = header.load(path, data=data)
    facts = header.facts(dataset, path)
    if facts.aside == header.INDEX:
        return Outcome("left out", "dicom", _INDEX)
    if facts.aside == header.NO_SIZE:
        raise _QuarantineError("pixels without rows and columns, which cannot be looked at")
    has_pixels = facts.aside != header.NO_PICTURE and "PixelData" in dataset
    if not value_of(dataset, "SOPInstanceUID"):
        raise _QuarantineError("no SOP Instance UID, which every DICOM file has to have")
    if _ENCAPSULATED in dataset and not has_pixels:
        raise _QuarantineError("an encapsulated document, whose text is not cleaned")
    boxes, state, on_head = _writing(dataset, facts, policy) if has_pixels else ((), _state(dataset), 0)
    syntax = marks.syntax(dataset)
    big_endian = dataset.original_encoding[1] is False
    dataset.file_meta = marks.meta(dataset, syntax)
    if has_pixels:
        if boxes:
            stored.blank(dataset, boxes)
        elif UID(syntax).is_encapsulated:
            codestream.strip_frames(dataset)
        else:
            stored.clear_spare(dataset, big_endian)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    tally = dicom.clean(dataset, key, policy.options, _overlay_check(policy))
    marks.mark(dataset, policy.options, state in ("checked", "blanked"))
    dataset.file_meta = marks.meta(dataset, syntax)
    dataset.preamble = b"\0" * 128
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return Outcome(
        "written",
        "dicom",
        data=stream.getvalue(),
        suffix=SUFFIXES["dicom"],
        pixels=state,
        boxes=boxes,
        tally=tally,
        on_head=on_head,
    )


def _state(dataset: Dataset) -> str:
    return "not checked" if _FLOATS & set(dataset.keys()) else "none"


def _writing(dataset: Dataset, facts: Header, policy: Policy) -> tuple[tuple[Box, ...], str, int]:
    """The lines of writing in a DICOM picture, what was done, and how many pixels of the head that covers.

    Raises _QuarantineError where blanking is not enough.
    """
    declared = str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES"
    suspect = declared or facts.aside == header.CAPTURE or facts.modality in _SUSPECT_MODALITIES
    if policy.burned_in == "keep" or int(dataset.get("BitsAllocated") or 0) == 1:
        return (), "not checked", 0
    if policy.program is None:
        if suspect:
            raise _QuarantineError("a screen capture or another picture that may show writing, and no means to look")
        return (), "not checked", 0
    frames = _grey(dataset, facts)
    boxes = find_text.find(frames, policy.program)
    if not boxes:
        if declared:
            raise _QuarantineError("said to show writing (BurnedInAnnotation), and none was found")
        return (), "checked", 0
    if policy.burned_in == "quarantine":
        raise _QuarantineError(f"writing in the picture ({len(boxes)} lines)")
    _check_blanked(frames, boxes, policy.program)
    everywhere = _of_all_frames(boxes, facts.frames)
    return everywhere, "blanked", covered.of_head(frames[1::2], everywhere)


def _check_blanked(frames: Sequence[Grey], boxes: Sequence[Box], program: str) -> None:
    """Look once more at the picture as it will be; what can still be read is reason enough to keep the file back."""
    left = []
    for frame in frames:
        painted = frame.copy()
        for box in boxes:
            top, side = max(box.y - 2, 0), max(box.x - 2, 0)
            painted[top : box.y + box.height + 2, side : box.x + box.width + 2] = painted.min()
        left.append(painted)
    if find_text.find(left, program):
        raise _QuarantineError("writing in the picture that blanking did not remove")


def _of_all_frames(boxes: Sequence[Box], frames: int) -> tuple[Box, ...]:
    """Each place once: what was found in one view of one frame is blanked in all of them."""
    places = {
        (b.x, b.y, b.width, b.height): Box(b.frame // 2 % max(frames, 1), b.x, b.y, b.width, b.height) for b in boxes
    }
    return tuple(places[place] for place in sorted(places))


def _grey(dataset: Dataset, facts: Header) -> list[Grey]:
    """Two views of each frame in 8 bits: over all values, and over the middle 98 of 100; pictures of 8 bits as is."""
    decoded = pixels.decode(dataset, facts)
    views: list[Grey] = []
    for frame in np.moveaxis(decoded.array, 1, 0):
        plane = frame.mean(axis=0)
        ranges = [(plane.min(), plane.max()), tuple(np.percentile(plane, (1, 99)))]
        if decoded.full_scale == _EIGHT_BITS and plane.min() >= 0.0 and plane.max() <= _EIGHT_BITS:
            ranges = [(0.0, _EIGHT_BITS)] * 2
        for low, high in ranges:
            scaled = (np.clip(plane, low, high) - low) * (255.0 / max(float(high - low), 1e-9))
            views.append(scaled.astype(np.uint8))
    return views


def _overlay_check(policy: Policy) -> Any:
    """Under `clean-graphics`: whether an overlay shows no writing; without Tesseract nobody can tell."""
    program = policy.program
    if program is None:
        return None

    def clear(dataset: Dataset, group: int) -> bool:
        try:
            overlay = np.asarray(dataset.overlay_array(group))
        except Exception:  # noqa: BLE001 - a damaged overlay raises anything, and is then not clear
            return False
        planes = overlay.reshape(-1, *overlay.shape[-2:])
        return not find_text.find([(255 * plane).astype(np.uint8) for plane in planes], program)

    return clear
