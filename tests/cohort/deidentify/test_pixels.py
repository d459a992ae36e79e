"""Pixels: bit for bit the same where nothing is blanked, without comments and hidden bits, blanked where writing is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage
from tests.scans.made_dicom import dataset, write

from insula.cohort.deidentify import codestream, find_text, one
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.one import Outcome, Policy
from insula.scans.read import read_files

KEY = Key(b"a key of more than sixteen", True)
PROGRAM = find_text.installed()
NOT_LOOKED = Policy(frozenset({"shifted-dates"}), "keep", None)
BLANK = Policy(frozenset({"shifted-dates"}), "blank", PROGRAM)
needs_tesseract = pytest.mark.skipif(PROGRAM is None, reason="Tesseract is not installed (scripts/system-packages ocr)")


def copy(path: Path, tmp_path: Path, policy: Policy = NOT_LOOKED) -> tuple[Outcome, pydicom.Dataset]:
    got = one.process(path, KEY, policy)
    assert got.status == "written", got.reason
    new = tmp_path / "new.dcm"
    new.write_bytes(got.data or b"")
    return got, pydicom.dcmread(new)


def told(path: Path, name: str, at: int, comment: bytes) -> Path:
    """A file of pydicom's with a comment put into its first compressed frame."""
    source = pydicom.dcmread(str(get_testdata_file(name)))
    (frame,) = generate_frames(source.PixelData, number_of_frames=1)
    segment = comment[:2] + (len(comment)).to_bytes(2, "big") + comment[2:]
    source.PixelData = encapsulate([frame[:at] + segment + frame[at:]])
    source["PixelData"].is_undefined_length = True
    source.save_as(path)
    return path


@pytest.mark.parametrize(
    ("name", "at", "marker"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", 2, b"\xff\xe5"),
        ("SC_rgb_jpeg_dcmtk.dcm", 2, b"\xff\xfe"),
        ("JPEGLSNearLossless_08.dcm", 2, b"\xff\xfe"),
        ("MR_small_jp2klossless.dcm", None, b"\xff\x64"),
    ],
)
def test_comments_in_compressed_frames_go_and_the_picture_stays(
    name: str, at: int | None, marker: bytes, tmp_path: Path
) -> None:
    after_size = at
    if after_size is None:  # behind the SIZ segment of a JPEG 2000 code stream
        source = pydicom.dcmread(str(get_testdata_file(name)))
        (frame,) = generate_frames(source.PixelData, number_of_frames=1)
        after_size = 4 + int.from_bytes(frame[4:6], "big")
    path = told(tmp_path / "old.dcm", name, after_size, marker + b"CNCOMMENT of an encoder")
    assert b"CNCOMMENT" in path.read_bytes()
    got, made = copy(path, tmp_path)
    assert b"CNCOMMENT" not in (got.data or b"")
    assert made.file_meta.TransferSyntaxUID == pydicom.dcmread(path).file_meta.TransferSyntaxUID
    original = read_files([Path(str(get_testdata_file(name)))])
    np.testing.assert_array_equal(original.array, read_files([tmp_path / "new.dcm"]).array)


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "image_dfl.dcm",
        "MR_small_RLE.dcm",
        "SC_rgb_rle_2frame.dcm",
        "examples_palette.dcm",
        "examples_ybr_color.dcm",
    ],
)
def test_pixels_of_other_programs_files_stay(name: str, tmp_path: Path) -> None:
    file = get_testdata_file(name)
    if file is None:
        pytest.skip(f"{name} does not come with this pydicom")
    _, made = copy(Path(str(file)), tmp_path)
    source = pydicom.dcmread(str(file))
    assert made.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    np.testing.assert_array_equal(made.pixel_array, source.pixel_array)
    assert made.PatientID == KEY.name(str(source.PatientID or source.StudyInstanceUID))


def test_bits_above_the_stored_ones_and_bytes_behind_are_cleared(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint16).reshape(6, 4) * 100
    hidden = values | np.uint16(0xA000)
    path = write(tmp_path / "old.dcm", values.astype(np.int16), BitsStored=12, HighBit=11, PixelRepresentation=0)
    image = pydicom.dcmread(path)
    image.PixelData = hidden.tobytes() + b"CNBEHIND"
    image.save_as(path)
    got, made = copy(path, tmp_path)
    assert made.PixelData == values.tobytes()
    assert b"CNBEHIND" not in (got.data or b"")


def test_the_last_run_of_an_rle_segment_hides_nothing() -> None:
    literal, repeated, single = b"\x09ab" + b"CNBEHIND", b"\xf6a", b"\x00a\xf7b"
    assert codestream._segment(literal, 2) == b"\x01ab\0"
    assert codestream._segment(repeated, 3) == b"\xfea"
    assert codestream._segment(repeated, 1) == b"\x00a"
    assert codestream._segment(single, 2) == b"\x00a\x00b"


@pytest.mark.parametrize("behind", [b"CNBEHIND", b"CNBEHIND\xff\xd9", b"\0\0CNBEHIND\xff\xd9\0\0"])
@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_dcmtk.dcm"],
)
def test_bytes_behind_the_end_of_a_frame_are_not_copied(name: str, behind: bytes, tmp_path: Path) -> None:
    image = pydicom.dcmread(str(get_testdata_file(name)))
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    image.PixelData = encapsulate([frame + behind])
    image.save_as(tmp_path / "old.dcm")
    got, made = copy(tmp_path / "old.dcm", tmp_path)
    assert b"CNBEHIND" not in (got.data or b"")
    np.testing.assert_array_equal(made.pixel_array, pydicom.dcmread(str(get_testdata_file(name))).pixel_array)


def test_comments_in_the_head_of_a_tile_are_not_copied() -> None:
    image = pydicom.dcmread(str(get_testdata_file("MR_small_jp2klossless.dcm")))
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    at = frame.find(b"\xff\x90")
    said = b"\xff\x64" + (2 + 2 + 8).to_bytes(2, "big") + b"\0\1CNINSIDE"
    length = int.from_bytes(frame[at + 6 : at + 10], "big") + len(said)
    lengths = b"\xff\x55" + (2 + 2 + 4).to_bytes(2, "big") + b"\0\x40" + length.to_bytes(4, "big")  # true until then
    tile = length.to_bytes(4, "big") + frame[at + 10 : at + 12] + said + frame[at + 12 :]
    hidden = frame[:at] + lengths + frame[at : at + 6] + tile
    image.PixelData = encapsulate([hidden])
    codestream.strip_frames(image)
    (clean,) = generate_frames(image.PixelData, number_of_frames=1)
    assert b"CNINSIDE" not in clean
    assert b"\xff\x55\0\x08" not in clean
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(clean), imagecodecs.jpeg2k_decode(frame))


@pytest.mark.parametrize("marker", [0x30, 0x54, 0x65, 0x6F, 0x7F])
def test_unknown_segments_of_jpeg_2000_are_not_copied(marker: int) -> None:
    image = pydicom.dcmread(str(get_testdata_file("MR_small_jp2klossless.dcm")))
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    at = frame.find(b"\xff\x90")
    said = bytes((0xFF, marker)) + (2 + 8).to_bytes(2, "big") + b"CNINSIDE"
    length = int.from_bytes(frame[at + 6 : at + 10], "big") + len(said)
    tile = length.to_bytes(4, "big") + frame[at + 10 : at + 12] + said + frame[at + 12 :]
    image.PixelData = encapsulate([frame[:at] + said + frame[at : at + 6] + tile])
    codestream.strip_frames(image)
    (clean,) = generate_frames(image.PixelData, number_of_frames=1)
    assert b"CNINSIDE" not in clean
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(clean), imagecodecs.jpeg2k_decode(frame))


def test_negative_values_stay_negative(tmp_path: Path) -> None:
    values = np.arange(-12, 12, dtype=np.int16).reshape(6, 4)
    path = write(tmp_path / "old.dcm", values, BitsStored=12, HighBit=11)
    assert copy(path, tmp_path)[1].PixelData == values.tobytes()


def page(text: str, size: int = 24, shape: tuple[int, int] = (160, 420)) -> NDArray[np.uint8]:
    image = Image.new("L", (shape[1], shape[0]), 20)
    ImageDraw.Draw(image).text((30, 50), text, 230, font=ImageFont.load_default(size))
    return np.asarray(image)


@needs_tesseract
@pytest.mark.parametrize("size", [14, 24, 48])
def test_writing_is_found_where_it_stands(size: int) -> None:
    picture = page("DOE JANE 1961", size, (200, 640))
    boxes = find_text.find([picture], str(PROGRAM))
    assert boxes
    left = picture.copy()
    for box in boxes:
        left[max(box.y - 2, 0) : box.y + box.height + 2, max(box.x - 2, 0) : box.x + box.width + 2] = 20
    assert (left > 128).sum() == 0


@needs_tesseract
def test_a_side_marker_and_an_empty_picture_are_no_writing() -> None:
    assert find_text.find([page("L"), np.zeros((64, 64), np.uint8)], str(PROGRAM)) == ()


@needs_tesseract
def test_writing_is_blanked_in_every_frame_and_nothing_else(tmp_path: Path) -> None:
    frames = np.stack([page(""), page("DOE JANE 1961"), page("")])
    frames[:, 120:, :] = np.random.default_rng(0).integers(0, 30, frames[:, 120:, :].shape, np.uint8)
    image = dataset(
        frames[0].astype(np.int16),
        BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, NumberOfFrames=3, Modality="US",
        SOPClassUID=UltrasoundMultiFrameImageStorage, BurnedInAnnotation="YES", PixelData=frames.tobytes(),
    )  # fmt: skip
    image["PixelData"].VR = "OB"
    image.save_as(tmp_path / "old.dcm", enforce_file_format=True)
    got, made = copy(tmp_path / "old.dcm", tmp_path, BLANK)
    assert got.pixels == "blanked"
    after = made.pixel_array
    boxed = np.zeros(frames.shape[1:], bool)
    for box in got.boxes:
        boxed[max(box.y - 2, 0) : box.y + box.height + 2, max(box.x - 2, 0) : box.x + box.width + 2] = True
    np.testing.assert_array_equal(after[:, ~boxed], frames[:, ~boxed])
    assert boxed.mean() < 0.3
    assert (frames > 128).any()
    assert not (after > 128).any()  # the writing is the one thing as light as that
    assert all(len(np.unique(frame[boxed])) == 1 for frame in after)
    assert (made.BurnedInAnnotation, made.file_meta.TransferSyntaxUID) == ("NO", ExplicitVRLittleEndian)
    assert "113101" in [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert one.process(tmp_path / "old.dcm", KEY, Policy(frozenset(), "quarantine", PROGRAM)).status == "quarantined"


@needs_tesseract
@pytest.mark.parametrize(("suffix", "mode"), [("png", "L"), ("png", "RGB"), ("png", "P"), ("tif", "L"), ("jpg", "L")])
def test_writing_in_pictures_is_blanked(suffix: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"old.{suffix}"
    Image.fromarray(page("DOE JANE 1961")).convert(mode).save(path)
    got = one.process(path, KEY, BLANK)
    assert got.pixels == "blanked", got.reason
    new = tmp_path / f"new.{suffix}"
    new.write_bytes(got.data or b"")
    with Image.open(new) as image:
        assert image.mode == mode
        assert np.asarray(image.convert("L")).max() < 90


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"BurnedInAnnotation": "YES"}, "quarantined"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "quarantined"),
        ({"Modality": "US"}, "quarantined"),
        ({}, "written"),
    ],
)
def test_without_tesseract_what_may_show_writing_is_held_back(
    fields: dict[str, Any], status: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "old.dcm", np.full((6, 4), 1030, np.int16), **fields)
    got = one.process(path, KEY, Policy(frozenset(), "quarantine", None))
    assert (got.status, got.pixels) == (status, "not checked" if status == "written" else "none")


@needs_tesseract
@pytest.mark.slow
@pytest.mark.data
def test_a_real_head_is_not_blanked_and_exam_summaries_are(tmp_path: Path) -> None:
    data = Path(__file__).parents[4] / "shared" / "data" / "ct_dicom" / "In"
    if not data.is_dir():
        pytest.skip("the real scans for measuring are not here")
    slices = sorted((data / "GE").glob("*.dcm"))
    assert len(slices) == 28
    assert [p.name for p in slices[::3] if one.process(p, KEY, BLANK).pixels != "checked"] == []
    got = one.process(data / "Philips" / "S21570" / "S4010" / "I40", KEY, BLANK)
    assert got.pixels == "blanked"
    assert len(got.boxes) > 40
