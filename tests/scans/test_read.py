from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.scans.made_dicom import write

from insula.core.errors import ScanError
from insula.scans import catalogue
from insula.scans.read import READERS, read, sniff


def rubbish(folder: Path) -> dict[str, Path]:
    made = {name: folder / name for name in ("text.dcm", "empty.png", "tiny.nii", "zip.npz", "noise.jpg", "x.nii.gz")}
    made["text.dcm"].write_text("This is no DICOM file at all, whatever its name may say of it.")
    made["empty.png"].write_bytes(b"")
    made["tiny.nii"].write_bytes(b"\x5c\x01\x00\x00")
    with zipfile.ZipFile(made["zip.npz"], "w") as archive:
        archive.writestr("letter.txt", "hello")
    made["noise.jpg"].write_bytes(np.random.default_rng(1).bytes(5000))
    made["x.nii.gz"].write_bytes(gzip.compress(b"no image" * 200))
    made["missing"] = folder / "missing.dcm"
    made["nul"] = folder / "a\0b"
    return made


@pytest.mark.parametrize(
    "name", ["text.dcm", "empty.png", "tiny.nii", "zip.npz", "noise.jpg", "x.nii.gz", "missing", "nul"]
)
def test_rubbish_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    for function in (read, sniff):
        with pytest.raises(ScanError) as caught:
            function(rubbish(tmp_path)[name])
        message = str(caught.value)
        assert message.endswith(".")
        assert str(tmp_path) not in message
        assert "\n" not in message


def test_content_and_not_the_name_decides(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "scan.dcm")
    np.save(tmp_path / "b.npy", np.zeros((2, 2)))
    (tmp_path / "b.npy").rename(tmp_path / "b.nii.gz")
    assert sniff(tmp_path / "scan.dcm") == "png"
    assert sniff(tmp_path / "b.nii.gz") == "npy"


def test_dicom_without_a_preamble(tmp_path: Path) -> None:
    path = write(tmp_path / "a", np.zeros((3, 3), np.int16))
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132:])
    assert sniff(bare) == "dicom"
    assert (read(bare).array == read(path).array).all()


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no files"):
        read(tmp_path)
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(ScanError, match=r"holds one file, and it is no scan: 'readme.txt' is no scan by its content"):
        read(tmp_path)
    (tmp_path / "b.txt").write_bytes(b"")
    with pytest.raises(ScanError, match=r"holds 2 files and none is a scan. The first: 'b.txt' is empty"):
        read(tmp_path)
    with pytest.raises(ScanError, match=r"holds no DICOM series.*The first of its files: 'b.txt' is empty"):
        catalogue.of(tmp_path)
    (tmp_path / "b.txt").unlink()
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    assert read(tmp_path).warnings == ("1 file set aside: no scan",)
    np.save(tmp_path / "b.npy", np.zeros((2, 3)))
    with pytest.raises(ScanError, match="2 npy volumes"):
        read(tmp_path)
    Image.new("L", (3, 2)).save(tmp_path / "c.png")
    with pytest.raises(ScanError, match="several kinds"):
        read(tmp_path)


@pytest.mark.parametrize("name", list(READERS))
def test_every_reader_refuses_an_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with pytest.raises(ScanError, match="empty"):
        READERS.get(name)(path)
