"""The decoders that hold no lock give the values of the others, bit for bit, or leave a file to them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from tests.scans.bundled import bundled
from tests.scans.made_dicom import series, write
from tests.scans.test_syntax import head, packed

from insula.core.errors import ScanError
from insula.core.types import Volume
from insula.scans import header, pixels, threads, unlocked
from insula.scans.read import read, read_files
from insula.scans.sandbox import Sandbox


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Volume]:
    """Reading by the plugins of pydicom alone."""

    def read_plainly(path: Path) -> Volume:
        with monkeypatch.context() as patched:
            patched.setattr(unlocked, "decoder", lambda _: None)
            patched.setattr(unlocked, "native", lambda *_: None)
            return read(path)

    return read_plainly


def with_header(path: Path, **fields: int) -> Path:
    made = pydicom.dcmread(path)
    for name, value in fields.items():
        setattr(made, name, value)
    made.save_as(path)
    return path


def encoded(syntax: UID, picture: NDArray[Any], bits: int) -> bytes:
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        return bytes(imagecodecs.ljpeg_encode(picture, bitspersample=bits))
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k", bitspersample=bits))
    if syntax == HTJ2KLossless:
        return bytes(imagecodecs.htj2k_encode(picture))
    return bytes(imagecodecs.jpegls_encode(picture, level=2 if syntax == JPEGLSNearLossless else 0))


@pytest.mark.parametrize(
    "syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, HTJ2KLossless]
)
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_frames_of_every_width_and_sign(
    syntax: UID, bits: int, signed: int, tmp_path: Path, plain: Callable[[Path], Volume]
) -> None:
    picture = (head() >> 4).astype(np.uint8) if bits == 8 else (head() * (15 if bits == 16 else 1)).astype(np.uint16)
    frame = encoded(syntax, picture, bits)
    compared = 0
    for allocated, stored in ((8, 8), (16, 10), (16, 12), (16, 13), (16, 16)):
        if bits > allocated:
            continue
        path = packed(tmp_path / "a.dcm", syntax, frame, picture.shape)
        with_header(path, BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, PixelRepresentation=signed)
        dataset = header.load(path)
        assert unlocked.frames(dataset, header.facts(dataset, path), syntax, [frame]) is not None
        assert (read(path).array == plain(path).array).all()
        compared += 1
    assert compared >= 4


def test_signed_codestreams(tmp_path: Path, plain: Callable[[Path], Volume]) -> None:
    picture = head().astype(np.int16) - 2048
    for data in (
        imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k", bitspersample=16),
        imagecodecs.jpeg2k_encode(picture, level=0, codecformat="jp2", bitspersample=13),
    ):
        for signed in (0, 1):
            path = packed(tmp_path / "a.dcm", JPEG2000Lossless, bytes(data), picture.shape)
            with_header(path, BitsStored=16, HighBit=15, PixelRepresentation=signed)
            found = read(path).array
            assert (found == plain(path).array).all()
            if signed:
                assert (found[0, 0] + 1024 == picture).all()


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("signed", [0, 1])
def test_native_values_of_every_width_and_sign(
    bits: int, signed: int, tmp_path: Path, plain: Callable[[Path], Volume]
) -> None:
    kind = np.dtype(f"<{'ui'[signed]}{bits // 8}")
    values = np.random.default_rng(bits).integers(np.iinfo(kind).min, np.iinfo(kind).max, (40, 40), kind)
    for frames in (1, 3):
        path = write(
            tmp_path / "a.dcm",
            np.zeros((40, 40), np.int16),
            BitsAllocated=bits,
            BitsStored=bits - 3,
            HighBit=bits - 4,
            PixelRepresentation=signed,
            NumberOfFrames=frames,
            PixelData=np.stack([values] * frames).tobytes(),
        )
        loaded = header.load(path, later=True)
        stored = unlocked.native(loaded, header.facts(loaded, path))
        assert stored is not None
        assert (stored == values).all()
        assert (read(path).array == plain(path).array).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"SamplesPerPixel": None},
        {"PhotometricInterpretation": None},
        {"PixelRepresentation": 2},
        {"BitsStored": 17},
        {"NumberOfFrames": 2},
    ],
)
def test_an_unsound_description_is_left_to_pydicom(
    tmp_path: Path, fields: dict[str, Any], plain: Callable[[Path], Volume]
) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((40, 40), np.int16), **fields)
    loaded = header.load(path, later=True)
    assert unlocked.native(loaded, header.facts(loaded, path)) is None
    outcomes: list[object] = []
    for reader in (read, plain):
        try:
            outcomes.append(reader(path).array.shape)
        except ScanError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_a_frame_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    picture = head()
    for syntax in (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless):
        frame = encoded(syntax, picture, 12)
        assert (
            read(packed(tmp_path / "a.dcm", syntax, frame + bytes(6), picture.shape)).array.shape[2:] == picture.shape
        )
        for length in (len(frame) - 2, len(frame) - 50, len(frame) // 2):
            with pytest.raises(ScanError, match=r"undecodable|cut short|damaged"):
                read(packed(tmp_path / "a.dcm", syntax, frame[:length], picture.shape))


def test_a_jpeg_ls_frame_without_its_end_goes_to_no_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CharLS works for seconds on a few thousand bytes of one."""
    frame = encoded(JPEGLSLossless, head(), 12)
    monkeypatch.setattr("insula.scans.syntax.decode", None)
    for length in (len(frame) - 2, len(frame) - 50, len(frame) // 2):
        with pytest.raises(ScanError, match="cut short"):
            read(packed(tmp_path / "a.dcm", JPEGLSLossless, frame[:length], head().shape))


def test_a_damaged_lossless_jpeg_does_not_go_to_gdcm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = bytearray(encoded(JPEGLosslessSV1, head(), 12))
    scan = frame.index(b"\xff\xda")
    frame[scan + 40 : scan + 42] = b"\xff\xb3"  # a marker that no scan holds
    monkeypatch.setattr("insula.scans.syntax.pixel_array", None)
    with pytest.raises(ScanError, match=r"undecodable pixels \(Unsupported marker type 0xb3\)"):
        read(packed(tmp_path / "a.dcm", JPEGLosslessSV1, bytes(frame), head().shape))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.ones((64, 64), np.int16))
    loaded = header.load(path, later=True)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ScanError, match="became shorter while it was read"):
        pixels.decode(loaded, header.facts(loaded, path))


def test_without_imagecodecs_the_others_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlocked, "decoder", unlocked.decoder.__wrapped__)  # without what it remembers
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert unlocked.decoder(JPEG2000Lossless) is None
    assert unlocked.decoder(RLELossless) is None
    assert read(bundled("MR_small_jp2klossless.dcm")).array.shape == (1, 1, 64, 64)
    frame = encoded(JPEGLosslessSV1, head(), 12)
    assert (read(packed(tmp_path / "a.dcm", JPEGLosslessSV1, frame, head().shape)).array[0, 0] + 1024 == head()).all()


def test_a_series_is_the_same_with_any_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = series(tmp_path / "s", [(0, 0, 3 * k) for k in range(9)])
    arrays = []
    for count in (1, 4):
        monkeypatch.setattr(threads, "COUNT", count)
        monkeypatch.setattr(threads, "_pools", {})
        arrays.append(read_files(paths).array)
    assert (arrays[0] == arrays[1]).all()
    with Sandbox() as pool:
        assert (pool.read_files(paths).array == arrays[0]).all()


def test_of_several_bad_slices_the_first_in_order_is_named(tmp_path: Path) -> None:
    frame = encoded(JPEG2000Lossless, head(), 12)
    folder = tmp_path / "s"
    folder.mkdir()
    for k in range(6):
        data = frame if k < 3 else frame[: len(frame) // 2]
        path = packed(folder / f"{k}.dcm", JPEG2000Lossless, data, head().shape)
        made = pydicom.dcmread(path)
        made.ImagePositionPatient, made.SOPInstanceUID = [0, 0, 5 * k], f"1.2.{k}"
        made.save_as(path)
    for _ in range(3):
        with pytest.raises(ScanError, match=r"'3\.dcm' has undecodable pixels"):
            read(folder)
