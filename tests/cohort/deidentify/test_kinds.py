"""Files that are no DICOM: the same pixels, and nothing that was written beside them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from insula.cohort.deidentify import one
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.one import Outcome, Policy
from insula.scans.read import read_files

KEY = Key(b"a key of more than sixteen", True)
POLICY = Policy(frozenset({"shifted-dates"}), "keep", None)
GREY = (np.arange(48 * 40).reshape(48, 40) % 251).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def cleaned(path: Path, tmp_path: Path, policy: Policy = POLICY) -> tuple[Outcome, Path]:
    got = one.process(path, KEY, policy)
    assert got.status == "written", got.reason
    assert got.data is not None
    assert b"CN" not in got.data, "a canary is left"
    new = tmp_path / f"new{got.suffix}"
    new.write_bytes(got.data)
    return got, new


def same(old: Path, new: Path) -> None:
    before, after = read_files([old]), read_files([new])
    np.testing.assert_array_equal(before.array, after.array)
    np.testing.assert_array_equal(before.affine, after.affine)
    assert (before.units, before.full_scale) == (after.units, after.full_scale)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_keeps_voxels_and_geometry_alone(kind: Any, suffix: str, tmp_path: Path) -> None:
    image = kind(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([-1.0, 2.0, 3.0, 1.0]))
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        if field in image.header:
            image.header[field] = b"CN HU 123"[: image.header[field].dtype.itemsize]
    image.header.set_slope_inter(2.0, -1024.0)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"CNEXTENSION"))
    raw = bytes(image.to_bytes()) + b"CNAFTER"
    path = tmp_path / f"CNNAME{suffix}"
    if suffix.endswith("gz"):
        with gzip.GzipFile(path, "wb", mtime=1_000_000_000) as stream:
            stream.write(raw)
    else:
        path.write_bytes(raw)
    got, new = cleaned(path, tmp_path)
    inside = gzip.decompress(new.read_bytes()) if suffix.endswith("gz") else new.read_bytes()
    assert b"CN" not in inside
    assert new.read_bytes()[3:8] == bytes(5) or suffix == ".nii"  # no name, no time
    same(path, new)
    assert read_files([new]).units == "HU"  # what the description said of the units stays, and nothing else of it
    assert got.tally.removed["header extension"] == 1
    loaded: Any = nibabel.load(new)
    assert not loaded.header.extensions


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA", "I;16"])
def test_png_keeps_its_pixels_bit_for_bit(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(COLOUR).convert(mode)
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "CNAUTHOR")
    info.add_text("XML:com.adobe.xmp", "CNXMP", zip=True)
    info.add_itxt("Comment", "CNCOMMENT", "en", "CNKEY")
    path = tmp_path / "old.png"
    image.save(path, pnginfo=info, exif=exif(6), icc_profile=b"CNICC" * 30)
    raw = path.read_bytes()
    path.write_bytes(raw[:-12] + chunk(b"tIME", b"CNTIME.") + chunk(b"prVt", b"CNPRIVATE") + raw[-12:] + b"CNAFTER")
    got, new = cleaned(path, tmp_path)
    assert b"prVt" not in new.read_bytes()
    same(path, new)
    data = [c for c in chunks(path.read_bytes()) if c[0] == b"IDAT"]
    assert b"".join(c[1] for c in data) == b"".join(c[1] for c in chunks(new.read_bytes()) if c[0] == b"IDAT")
    assert got.tally.removed["text chunk"] >= 2


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data) and len(data) - place >= 12:
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
        if found[-1][0] == b"IEND":
            break
    return found


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[274] = orientation
    made[315] = "CNARTIST"
    made[306] = "2001:01:01 CN"
    return made


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}])
def test_jpeg_is_not_compressed_again(orientation: int, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "old.jpg"
    Image.fromarray(COLOUR).save(
        path, exif=exif(orientation), comment=b"CNCOMMENT", icc_profile=b"CNICC" * 30, quality=90, **options
    )
    raw = path.read_bytes()
    thumb = b"\xff\xed\x00\x10Photoshop CN  "[:18]
    path.write_bytes(raw[:2] + thumb + raw[2:] + b"CNAFTER" + raw)
    _, new = cleaned(path, tmp_path)
    same(path, new)
    with Image.open(path) as before, Image.open(new) as after:
        assert after.getexif().get(274, 1) == orientation
        assert set(after.getexif()) <= {274}
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    scan = raw[raw.index(b"\xff\xda") :]
    assert scan in new.read_bytes()


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "old.jpg"
    Image.fromarray(COLOUR).convert("CMYK").save(path, comment=b"CNCOMMENT")
    same(path, cleaned(path, tmp_path)[1])


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "I;16", "F", "P"])
@pytest.mark.parametrize("pages", [1, 3])
def test_tiff_is_written_anew_without_loss(mode: str, pages: int, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"I;16": GREY.astype(np.uint16) * 200, "F": GREY.astype(np.float32) / 7}
    image = Image.fromarray(arrays[mode]) if mode in arrays else Image.fromarray(COLOUR).convert(mode)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270], info[315], info[700], info[34377], info[65000] = "CNDESC", "CNART", b"CNXMP", b"CNPHOTO", "CNPRIV"
    info.tagtype[700] = info.tagtype[34377] = 7
    path = tmp_path / "old.tif"
    image.save(path, tiffinfo=info, save_all=True, append_images=[image] * (pages - 1), icc_profile=b"CNICC" * 9)
    assert b"CNXMP" in path.read_bytes()
    got, new = cleaned(path, tmp_path)
    same(path, new)
    assert got.tally.removed["TIFF tag"] >= 5
    with Image.open(path) as before, Image.open(new) as after:
        assert getattr(after, "n_frames", 1) == pages
        assert after.mode == before.mode


def test_a_tiled_tiff_is_held_back(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), tile=(16, 16))
    assert one.process(path, KEY, POLICY).status == "quarantined"


def test_a_sidecar_keeps_the_physics_of_the_scan(tmp_path: Path) -> None:
    content = {
        "EchoTime": 0.03,
        "SliceTiming": [0, 0.5],
        "Modality": "MR",
        "PatientName": "CN^NAME",
        "SeriesDescription": "CN text",
        "RepetitionTime": "CN no number",
        "BodyPartExamined": "CN far too long to be the name of a part",
        "AcquisitionDateTime": "2020CN",
        "Unknown": {"deep": "CN"},
        "Manufacturer": "CN Ltd",
    }
    path = tmp_path / "scan.json"
    path.write_text(json.dumps(content))
    got, new = cleaned(path, tmp_path)
    assert json.loads(new.read_text()) == {"EchoTime": 0.03, "SliceTiming": [0, 0.5], "Modality": "MR"}
    assert got.tally.removed["key of a sidecar"] == 7
    with_device = one.process(path, KEY, Policy(frozenset({"retain-device"}), "keep", None))
    assert json.loads(with_device.data or b"")["Manufacturer"] == "CN Ltd"


def test_arrays_keep_numbers_alone(tmp_path: Path) -> None:
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    plain, archive = tmp_path / "a.npy", tmp_path / "b.npz"
    np.save(plain, volume)
    np.savez(archive, array=volume, affine=np.eye(4), units=np.asarray("HU"), CNname=np.asarray("CN text"))
    for path in (plain, archive):
        same(path, cleaned(path, tmp_path)[1])
    stream = io.BytesIO(one.process(archive, KEY, POLICY).data or b"")
    assert sorted(np.load(stream).files) == ["affine", "array", "units"]


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.nii", "cut.dcm"])
def test_a_damaged_file_has_no_copy_and_its_reason_names_nothing(name: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    if name.endswith("nii"):
        nibabel.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)).to_filename(str(whole) + ".nii")
        raw = Path(str(whole) + ".nii").read_bytes()
    elif name.endswith("dcm"):
        raw = bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\xff\xffCNVALUE" * 3
    else:
        stream = io.BytesIO()
        Image.fromarray(COLOUR).save(stream, {"png": "PNG", "jpg": "JPEG"}[name[-3:]])
        raw = stream.getvalue()
    path = tmp_path / name
    path.write_bytes(raw[: len(raw) // 2] if not name.endswith("dcm") else raw)
    got = one.process(path, KEY, POLICY)
    assert (got.status, got.data) == ("quarantined", None)
    assert "cut" not in got.reason
    assert "CN" not in got.reason
