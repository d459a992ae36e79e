"""What `elements` finds is what pydicom finds, in every file that pydicom brings, and in damaged and odd ones."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from tests.scans.bundled import bundled, files
from tests.scans.made_dicom import dataset, write

from insula.scans import elements
from insula.scans.elements import Pixels

FILES = files()
# encodings and kinds of damage that are left to pydicom
LEFT = {"ExplVR_BigEnd.dcm", "MR_small_bigendian.dcm", "MR_truncated.dcm", "no_meta.dcm", "rtplan_truncated.dcm"}
PIXELS = 0x7FE00010


def inflate(stream: BinaryIO) -> bytes:
    return zlib.decompress(stream.read(), -zlib.MAX_WBITS)


def parsed(path: Path, pixels: Pixels = "now") -> Dataset | None:
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        return elements.parse(stream, str(path), pixels, inflate)


def compare(path: Path, pixels: Pixels = "now") -> bool:
    """Whether there was anything to compare."""
    mine = parsed(path, pixels)
    if mine is None:
        return False
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("ignore")
        theirs = pydicom.dcmread(stream, force=True, stop_before_pixels=pixels == "never")
        assert list(mine.keys()) == list(theirs.keys())
        for tag in theirs.keys():  # noqa: SIM118 - iterating over a dataset converts its elements
            ours, pydicoms = mine.get_item(tag), theirs.get_item(tag)
            assert ours == pydicoms or mine[tag] == theirs[tag], tag  # pydicom has converted the character set already
        assert mine.file_meta == theirs.file_meta
        for name in ("original_encoding", "original_character_set", "preamble", "filename", "timestamp"):
            assert getattr(mine, name) == getattr(theirs, name)
    return True


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_element_is_pydicoms(name: str) -> None:
    compared = [compare(FILES[name]), compare(FILES[name], "never")]
    if name.rpartition("/")[2] in LEFT:
        assert compared[0] is False


def test_most_files_are_found_here() -> None:
    dicom = [path for name, path in FILES.items() if name.endswith(".dcm")]
    assert sum(parsed(path) is not None for path in dicom) > 0.75 * len(dicom)


@pytest.mark.parametrize("start", [420, 421, 502, 777, 1024, 3000])
def test_where_the_reading_is_cut_into_pieces_does_not_matter(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_START", start)
    names = ("CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "image_dfl.dcm", "rtplan.dcm", "test-SR.dcm")
    assert sum(compare(bundled(name), pixels) for name in names for pixels in ("now", "never")) >= 8


def changed(path: Path, change: Callable[[Dataset], object], **how: bool) -> Path:
    made = dataset(np.arange(64 * 64, dtype=np.int16).reshape(64, 64))
    change(made)
    made.save_as(path, enforce_file_format=True, **how)
    return path


def test_sequences_and_long_elements_of_all_kinds(tmp_path: Path) -> None:
    def nest(made: Dataset, undefined: bool) -> None:
        inner, outer = Dataset(), Dataset()
        inner.CodeValue, inner.CodeMeaning = "1", "ä" * 20
        outer.ConceptNameCodeSequence = Sequence([inner, inner])
        made.SpecificCharacterSet = "ISO_IR 192"
        made.ProcedureCodeSequence = Sequence([outer])
        made.RequestAttributesSequence = Sequence([])
        for element in (made["ProcedureCodeSequence"], outer["ConceptNameCodeSequence"]):
            element.is_undefined_length = undefined
            element.value.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
        made.private_block(0x0043, "MAKER", create=True).add_new(0x01, "OB", bytes(range(256)) * 300)
        made.add_new(0xFFFCFFFC, "OB", bytes(10))  # behind the pixels

    for undefined in (False, True):
        path = changed(tmp_path / f"{undefined}.dcm", partial(nest, undefined=undefined))
        assert compare(path)
        assert compare(path, "never")
        assert parsed(path)["ProcedureCodeSequence"][0].ConceptNameCodeSequence[1].CodeMeaning == "ä" * 20  # type: ignore[index]
    implicit = tmp_path / "implicit.dcm"
    made = pydicom.dcmread(tmp_path / "True.dcm")
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.save_as(implicit, implicit_vr=True, little_endian=True)
    assert compare(implicit)


def test_frames_are_walked_by_their_lengths_and_not_searched(tmp_path: Path) -> None:
    def pack(made: Dataset) -> None:
        made.file_meta.TransferSyntaxUID = JPEG2000Lossless
        made.PixelData = encapsulate([b"\xfe\xff\xdd\xe0\0\0\0\0 looks like an end"])
        made["PixelData"].is_undefined_length = True

    path = changed(tmp_path / "a.dcm", pack)
    assert compare(path)
    whole = path.read_bytes()
    for cut in (1, 8, 9, 20):
        path.write_bytes(whole[:-cut])
        assert parsed(path) is None


def test_native_pixels_may_stay_in_the_file(tmp_path: Path) -> None:
    values = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    path = write(tmp_path / "a.dcm", values)
    left = parsed(path, "later")
    assert left is not None
    element: Any = left.get_item(PIXELS, keep_deferred=True)
    assert (element.value, element.length) == (None, values.nbytes)
    assert left.PixelData == values.astype("<i2").tobytes()
    path.write_bytes(path.read_bytes()[:-1])
    assert parsed(path, "later") is None  # what stays there has to be there
    small = parsed(write(tmp_path / "b.dcm", values[:4, :4]), "later")
    assert small is not None
    assert small.get_item(PIXELS, keep_deferred=True).value is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x28\0\x10\0US", b"\x28\0\x10\0us"),  # no type
        (b"\x28\0\x10\0US", b"\x28\0\x10\0ZZ"),  # an unknown one
        (b"\x28\0\x10\0US", b"\x08\0\x05\0US"),  # out of order
        (b"\x28\0\x10\0US\x02\0", b"\x28\0\x10\0US\xff\xff"),  # too long
        (b"\x02\0\0\0UL\x04\0", b"\x02\0\0\0UL\x05\0"),
        (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.8\0"),  # no syntax
    ],
)
def test_what_is_odd_is_left_to_pydicom(tmp_path: Path, old: bytes, new: bytes) -> None:
    whole = write(tmp_path / "a.dcm", np.zeros((64, 64), np.int16)).read_bytes()
    assert whole.count(old) == 1
    (tmp_path / "a.dcm").write_bytes(whole.replace(old, new))
    assert parsed(tmp_path / "a.dcm") is None


def test_damage_gives_what_pydicom_gives_or_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    path, found = tmp_path / "a.dcm", 0
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm", "test-SR.dcm"):
        whole = bundled(name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(132, min(len(data), 3000), 3):
                data[place] ^= 1 << rng.integers(0, 8)
            path.write_bytes(bytes(data[: rng.integers(200, len(data))] if rng.random() < 0.2 else data))
            found += compare(path)
    assert found > 30


def test_an_error_of_inflating_is_raised() -> None:
    def refuse(stream: BinaryIO) -> bytes:
        raise ValueError("too much")

    with bundled("image_dfl.dcm").open("rb") as stream, pytest.raises(ValueError, match="too much"):
        elements.parse(stream, "x", "now", refuse)
    assert elements.parse(io.BytesIO(b"short"), "x", "now", refuse) is None
