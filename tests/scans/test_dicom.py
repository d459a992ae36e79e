from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from tests.scans.made_dicom import dataset, write

from insula.core.errors import InsulaError, LimitError, ScanError
from insula.scans import dicom
from insula.scans.limits import Limits
from insula.scans.read import read


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def test_a_real_ct_slice_is_in_hounsfield_units() -> None:
    volume = read(bundled("CT_small.dcm"))
    source = pydicom.dcmread(bundled("CT_small.dcm"))
    expected = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
    assert volume.array.shape == (1, 1, 128, 128)
    assert (volume.array[0, 0] == expected).all()
    assert (volume.units, volume.modality, volume.full_scale) == ("HU", "CT", None)
    assert volume.spacing == pytest.approx((0.661468, 0.661468, 5.0))
    assert volume.attributes["patient_id"] == "1CT1"
    assert (volume.affine[:3, 3] == [float(v) for v in source.ImagePositionPatient]).all()


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_expb.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_lossless_syntaxes_give_the_same_pixels(name: str) -> None:
    plain, other = read(bundled("MR_small.dcm")), read(bundled(name))
    assert (plain.array == other.array).all()
    assert other.units == "a.u."


def test_colour_syntaxes_give_the_same_picture() -> None:
    plain = read(bundled("SC_rgb_rle.dcm")).array
    assert plain.shape == (3, 1, 100, 100)
    for name in ("SC_rgb_gdcm_KY.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_ybr_full_422_uncompressed.dcm"):
        assert np.abs(read(bundled(name)).array - plain).mean() < 8.0
    assert read(bundled("SC_rgb_rle_2frame.dcm")).array.shape == (3, 2, 100, 100)


def test_palette_becomes_rgb() -> None:
    volume = read(bundled("examples_palette.dcm"))
    assert (volume.units, volume.array.shape[0]) == ("RGB", 3)
    assert volume.full_scale is not None
    assert volume.array.max() <= volume.full_scale


def test_monochrome1_is_turned_round_where_it_is_a_picture(tmp_path: Path) -> None:
    pixels = np.array([[0, 100], [4000, 4095]], np.int16)
    fields = {"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    path = write(tmp_path / "a.dcm", pixels, Modality="MR", RescaleIntercept=None, RescaleSlope=None, **fields)
    assert read(path).array[0, 0].tolist() == [[4095.0, 3995.0], [95.0, 0.0]]
    ct = write(tmp_path / "b.dcm", pixels, **fields)
    assert read(ct).array[0, 0].tolist() == [[-1024.0, -924.0], [2976.0, 3071.0]]


def test_only_the_stored_bits_count_and_their_sign(tmp_path: Path) -> None:
    pixels = np.array([[0x7FFF, 0x0801], [0x1005, 5]], np.int16)  # bits above the twelfth are an old overlay
    path = write(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11, RescaleIntercept=0.0)
    assert read(path).array[0, 0].tolist() == [[-1.0, -2047.0], [5.0, 5.0]]


def test_ct_without_rescale_is_not_called_hu(tmp_path: Path) -> None:
    volume = read(write(tmp_path / "a.dcm", np.ones((2, 2), np.int16), RescaleIntercept=None))
    assert volume.units == "a.u."
    assert "CT without a rescale to Hounsfield units" in volume.warnings


def test_flipped_rows_are_turned_to_the_patients_left(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.int16).reshape(2, 3)
    path = write(tmp_path / "a.dcm", pixels, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0], RescaleIntercept=0.0)
    volume = read(path)
    assert volume.array[0, 0].tolist() == pixels[:, ::-1].tolist()
    assert volume.affine[0, 0] > 0


def test_cut_short_says_how_much_is_missing() -> None:
    with pytest.raises(ScanError, match="8130 bytes of pixels and its header promises 8192"):
        read(bundled("MR_truncated.dcm"))


@pytest.mark.parametrize("name", ["rtplan.dcm", "DICOMDIR", "reportsi.dcm", "waveform_ecg.dcm", "badVR.dcm"])
def test_files_without_a_picture(name: str) -> None:
    with pytest.raises(ScanError):
        read(bundled(name))


def test_rle_bomb_is_refused_by_arithmetic(tmp_path: Path) -> None:
    made = dataset(np.zeros((2, 2), np.int16), Rows=65535, Columns=65535)
    made.PixelData = encapsulate([b"\x01" + bytes(63) + b"\x81\x00" * 100])
    made.file_meta.TransferSyntaxUID = RLELossless
    made["PixelData"].is_undefined_length = True
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert (tmp_path / "a.dcm").stat().st_size < 2000
    with pytest.raises(LimitError, match="65535x65535"):
        read(tmp_path / "a.dcm")


def test_codestream_that_contradicts_its_header_is_refused(tmp_path: Path) -> None:
    made = pydicom.dcmread(bundled("MR_small_jp2klossless.dcm"))
    assert made.file_meta.TransferSyntaxUID == JPEG2000Lossless
    made.Rows = 32
    made.save_as(tmp_path / "a.dcm")
    with pytest.raises(ScanError, match="promises 32x64 pixels of 1 and its compressed frame claims 64x64 of 1"):
        read(tmp_path / "a.dcm")


def test_impossible_depth_of_a_jpeg_frame_never_reaches_a_decoder(tmp_path: Path) -> None:
    raw = bytearray(bundled("SC_rgb_jpeg.dcm").read_bytes())
    raw[raw.index(b"\xff\xc0") + 4] = 76  # a frame of 76 bits makes one of the decoders crash
    (tmp_path / "a.dcm").write_bytes(bytes(raw))
    with pytest.raises(ScanError, match="76 bits in 8"):
        read(tmp_path / "a.dcm")


def test_deflated_bomb_is_refused(tmp_path: Path) -> None:
    made = dataset(np.zeros((512, 512), np.int16))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert read(tmp_path / "a.dcm").array.shape == (1, 1, 512, 512)
    with pytest.raises(LimitError, match="inflates"):
        dicom.read(tmp_path / "a.dcm", Limits(max_bytes=1 << 20))


@pytest.mark.parametrize("depth", [40, 600])
def test_deep_nesting_is_refused(tmp_path: Path, depth: int) -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    opening = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff" + item
    closing = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    path = write(tmp_path / "a.dcm", np.zeros((2, 2), np.int16))
    raw = path.read_bytes()
    start = raw.index(b"\x08\x00\x16\x00UI")
    path.write_bytes(raw[:start] + opening * depth + closing * depth + raw[start:])
    with pytest.raises(LimitError, match="nests"):
        read(path)


def test_enhanced_frames_are_ordered_by_their_positions(tmp_path: Path) -> None:
    made = dataset(np.zeros((2, 3), np.int16), ImagePositionPatient=None, ImageOrientationPatient=None)
    made.NumberOfFrames = 3
    made.PixelData = np.stack([np.full((2, 3), k, "<i2") for k in range(3)]).tobytes()
    shared, orientation = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = Sequence([orientation])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for z in (10.0, 0.0, 5.0):
        plane, group = Dataset(), Dataset()
        plane.ImagePositionPatient = [0.0, 0.0, z]
        group.PlanePositionSequence = Sequence([plane])
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    volume = read(tmp_path / "a.dcm")
    assert volume.array[0, :, 0, 0].tolist() == [1 - 1024.0, 2 - 1024.0, 0 - 1024.0]
    assert volume.spacing[2] == pytest.approx(5.0)


def test_ages_are_years(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.zeros((2, 2), np.int16), PatientAge="018M", PatientSex="F")
    assert (read(path).attributes["age"], read(path).attributes["sex"]) == ("1.5", "F")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_never_escapes_as_a_foreign_exception(tmp_path: Path, data: st.DataObject) -> None:
    uid = {"SOPInstanceUID": "1.2.3.4.5"}  # a drawn one would change the length from run to run
    path = write(tmp_path / "seed.dcm", np.arange(16, dtype=np.int16).reshape(4, 4), **uid)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(1, len(raw))))
    target = tmp_path / "damaged.dcm"
    target.write_bytes(bytes(raw[:cut]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            volume = read(target)
        except InsulaError:
            pass  # a refusal in the program's own words is what is wanted
        else:
            assert volume.array.ndim == 4
            assert np.isfinite(volume.array).all()
