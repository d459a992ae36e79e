"""Every transfer syntax against decoders that are not ours: pydicom's arithmetic, SimpleITK (GDCM), imagecodecs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from tests.scans.bundled import bundled
from tests.scans.made_dicom import dataset, write

from insula.core.errors import ScanError
from insula.scans.read import read

SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

# one real file at least for each syntax; all but the last group are compared with SimpleITK as well
FILES = [
    "MR_small_implicit.dcm",
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "MR_small_RLE.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "JPGExtended.dcm",
    "JPEG-lossy.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KI.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_ybr_color.dcm",
    "examples_overlay.dcm",
]


def channels_last(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.moveaxis(array, 0, -1) if array.shape[0] == 3 else array[0]


@pytest.mark.parametrize("name", FILES)
def test_every_value_is_simpleitks(name: str) -> None:
    path = bundled(name)
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.float64)
    ours = channels_last(read(path).array)
    assert ours.shape == theirs.shape
    assert (ours == theirs).all()


@pytest.mark.parametrize("name", [n for n in FILES if n not in ("JPGExtended.dcm", "JPEG-lossy.dcm")])
def test_every_value_is_pydicoms_with_the_arithmetic_done_by_hand(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = pydicom.dcmread(bundled(name))
        stored = source.pixel_array.astype(np.float64)
    expected = stored * float(source.get("RescaleSlope") or 1) + float(source.get("RescaleIntercept") or 0)
    ours = channels_last(read(bundled(name)).array)
    assert (ours.reshape(expected.shape) == expected).all()


def test_sixteen_bit_colours_and_palettes_by_pydicom() -> None:
    for name in ("SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm"):
        source = pydicom.dcmread(bundled(name))
        source.pixel_array_options(decoding_plugin="pydicom")  # written in Python, not the decoder that is used
        assert (channels_last(read(bundled(name)).array)[0] == source.pixel_array.astype(np.float32)).all()
    palette = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(bundled("examples_palette.dcm"))))
    ours = channels_last(read(bundled("examples_palette.dcm")).array)
    assert (ours.astype(int) >> 8 == palette).all()  # SimpleITK keeps the upper eight of the table's sixteen bits


def head() -> NDArray[np.uint16]:
    """A smooth picture of 12 bits with noise, so that predictors and tables have something to do."""
    y, x = np.mgrid[0:96, 0:80]
    noise = np.random.default_rng(5).integers(0, 40, (96, 80))
    return np.asarray(1500 + 1200 * np.sin(x / 9) * np.cos(y / 11) + noise).astype(np.uint16)


def packed(path: Path, syntax: UID, frame: bytes, shape: tuple[int, ...]) -> Path:
    made = dataset(np.zeros(shape, np.int16), PixelRepresentation=0, BitsStored=12, HighBit=11)
    made.file_meta.TransferSyntaxUID = HTJ2KLossless
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    made.save_as(path, enforce_file_format=True)
    # pydicom writes no syntax that it does not know, so the UID is put in afterwards, in a field of the same length
    room = len(HTJ2KLossless) + len(HTJ2KLossless) % 2
    old, new = (uid.encode().ljust(room, b"\0") for uid in (HTJ2KLossless, syntax))
    assert len(new) == room
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    return path


@pytest.mark.parametrize("syntax", [HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1, JPEGLossless])
def test_a_lossless_frame_of_another_encoder_comes_back_whole(tmp_path: Path, syntax: UID) -> None:
    picture = head()
    encoders: dict[UID, Callable[[], Any]] = {
        HTJ2KLossless: lambda: imagecodecs.htj2k_encode(picture),
        JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k", bitspersample=12),
        JPEGLSLossless: lambda: imagecodecs.jpegls_encode(picture),
        JPEGLosslessSV1: lambda: imagecodecs.ljpeg_encode(picture, bitspersample=12),
        JPEGLossless: lambda: imagecodecs.ljpeg_encode(picture, bitspersample=12),
    }
    volume = read(packed(tmp_path / "a.dcm", syntax, bytes(encoders[syntax]()), picture.shape))
    assert (volume.array[0, 0] == picture.astype(np.float32) - 1024).all()
    assert volume.units == "HU"


def test_a_lossy_frame_of_twelve_bits_is_what_another_decoder_makes_of_it(tmp_path: Path) -> None:
    picture = head()
    data = bytes(imagecodecs.jpeg8_encode(picture, level=90, bitspersample=12))
    volume = read(packed(tmp_path / "a.dcm", JPEGExtended12Bit, data, picture.shape))
    assert (volume.array[0, 0] + 1024 == imagecodecs.jpeg8_decode(data)).all()
    assert np.abs(volume.array[0, 0] + 1024 - picture).mean() < 20


def test_near_lossless_keeps_its_bound(tmp_path: Path) -> None:
    picture = head()
    data = bytes(imagecodecs.jpegls_encode(picture, level=3))
    volume = read(packed(tmp_path / "a.dcm", JPEGLSNearLossless, data, picture.shape))
    assert 0 < np.abs(volume.array[0, 0] + 1024 - picture).max() <= 3


@pytest.mark.parametrize("high", [11, 13, 15])
def test_the_high_bit_says_where_the_value_lies(tmp_path: Path, high: int) -> None:
    picture = head()
    picture[0, 0] = 4095
    shifted = (picture << (high - 11)).astype(np.uint16)
    rubbish = (0xFFFF >> (15 - high)) ^ 0xFFFF  # an old overlay above the value
    path = write(
        tmp_path / "a.dcm",
        (shifted | (rubbish & 0x8000)).view(np.int16),
        PixelRepresentation=0,
        BitsStored=12,
        HighBit=high,
    )
    assert (read(path).array[0, 0] == picture.astype(np.float32) - 1024).all()


def test_a_frame_of_another_kind_than_its_syntax_never_reaches_a_decoder(tmp_path: Path) -> None:
    picture = head()
    jls = bytes(imagecodecs.jpegls_encode(picture))
    for syntax in (JPEGLosslessSV1, JPEGExtended12Bit, JPEG2000Lossless, HTJ2K):
        with pytest.raises(ScanError, match=r"another kind \(jls\)"):
            read(packed(tmp_path / "a.dcm", syntax, jls, picture.shape))
    with pytest.raises(ScanError, match="holds no codestream"):
        read(packed(tmp_path / "b.dcm", JPEGLosslessSV1, bytes(500), picture.shape))
    with pytest.raises(ScanError, match="an RLE frame of 7 segments where 2 are needed"):
        read(packed(tmp_path / "c.dcm", RLELossless, b"\x07" + bytes(99), picture.shape))


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.2.840.113619.5.2", "1.2.840.113619.5.2"),
        ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.110|JPEG XL"),
    ],
)
def test_syntaxes_that_are_not_read_are_named(tmp_path: Path, uid: str, name: str) -> None:
    with pytest.raises(ScanError, match=f"transfer syntax .*({name}).*, which is not read"):
        read(packed(tmp_path / "a.dcm", UID(uid), bytes(200), (96, 80)))


@pytest.mark.parametrize("kind", ["YBR_PARTIAL_420", "HSV", "CMYK"])
def test_kinds_of_colour_that_are_not_read_are_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ScanError, match=f"pixels of the kind '{kind}'"):
        read(write(tmp_path / "a.dcm", np.zeros((4, 4), np.int16), PhotometricInterpretation=kind))


def test_a_panic_of_the_rle_decoder_is_a_refusal(tmp_path: Path) -> None:
    raw = bytearray(bundled("MR_small_RLE.dcm").read_bytes())
    frame = raw.rindex(b"\xfe\xff\x00\xe0") + 8
    raw[frame + 64 :: 2] = b"\x81" * len(raw[frame + 64 :: 2])  # every run 128 long: far more than the picture holds
    (tmp_path / "a.dcm").write_bytes(bytes(raw))
    with pytest.raises(ScanError):
        read(tmp_path / "a.dcm")
