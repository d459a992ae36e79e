"""What goes wrong ends in one sentence with the way out, a code of its own, a page, and nothing half-written."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from tests import tiny_bundle

from insula.cli import main


def insula(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["insula", *map(str, words)])
    try:
        main.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def told(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 2, err
    assert lines[0].startswith("insula: ")
    assert lines[1].startswith("More: insula docs errors#")
    assert "Traceback" not in err
    return lines[0]


def pictures(root: Path, patients: dict[str, list[str]]) -> Path:
    rng = np.random.default_rng(0)
    for label, names in patients.items():
        for name in names:
            folder = root / label / name
            folder.mkdir(parents=True)
            for i in range(2):
                Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)).save(folder / f"{i}.png")
    return root


def test_a_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.parquet"
    assert insula(monkeypatch, "index", tmp_path / "nowhere", "--recipe", "stroke-ct", "--out", out) == 15
    assert "nowhere" in told(capsys)
    assert not out.exists()


def test_a_class_with_one_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = pictures(tmp_path / "scans", {"normal": ["a", "b", "c", "d"], "stroke": ["e"]})
    table, out = tmp_path / "c.parquet", tmp_path / "s.parquet"
    assert insula(monkeypatch, "index", scans, "--recipe", "stroke-ct", "--out", table) == 0
    capsys.readouterr()
    assert insula(monkeypatch, "split", table, "--recipe", "stroke-ct", "--out", out) == 16
    assert "stroke" in told(capsys)
    assert not out.exists()


def test_a_class_whose_files_are_all_unreadable_is_missed_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = pictures(tmp_path / "scans", {"stroke": ["a", "b"]})
    (scans / "normal" / "c").mkdir(parents=True)
    (scans / "normal" / "c" / "empty.dcm").write_bytes(b"")
    assert insula(monkeypatch, "index", scans, "--recipe", "stroke-ct", "--out", tmp_path / "c.parquet") == 0
    assert "No case is labelled normal" in capsys.readouterr().out


def test_a_patient_in_two_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = pictures(tmp_path / "scans", {"normal": ["a", "b"], "stroke": ["b", "c"]})
    out = tmp_path / "c.parquet"
    assert insula(monkeypatch, "index", scans, "--recipe", "stroke-ct", "--out", out) == 15
    assert "normal" in told(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.png", b""),
        ("notes.dcm", b"patient was fine\n"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
        ("cut.nii.gz", b"\x1f\x8b\x08\x00\x00"),
        ("zeros.bin", bytes(5000)),
    ],
)
def test_a_file_that_is_no_scan(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle.make(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert insula(monkeypatch, "predict", bundle.path, tmp_path / name) == 12
    assert name in capsys.readouterr().err


def test_a_nifti_for_a_slide_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("CE", "LAA"):
        for i in range(2):
            folder = tmp_path / "scans" / label / f"p{label}{i}"
            folder.mkdir(parents=True)
            volume = np.zeros((8, 8, 4), np.float32)
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "scan.nii.gz")
    out = tmp_path / "c.parquet"
    assert insula(monkeypatch, "index", tmp_path / "scans", "--recipe", "clot-origin", "--out", out) == 14
    assert "clot-origin" in told(capsys)
    assert not out.exists()


def test_a_bundle_with_one_byte_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle.make(tmp_path)
    graph = bundle.path / "head.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    assert insula(monkeypatch, "predict", bundle.path, tmp_path) == 18
    assert "head.onnx" in told(capsys)


def test_an_unknown_recipe_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("index", tmp_path, "--recipe", "stroke-ct", "--set", "train.epoch=3", "--out", tmp_path / "c.parquet")
    assert insula(monkeypatch, *words) == 17
    assert "train.epoch" in told(capsys)
    assert not (tmp_path / "c.parquet").exists()


def test_an_unknown_verb_and_an_unknown_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert insula(monkeypatch, "predcit") == 2
    assert insula(monkeypatch, "predict", "--nonsense") == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.train
def test_a_cohort_that_is_not_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = pictures(tmp_path / "scans", {"normal": ["a", "b"], "stroke": ["c", "d"]})
    table = tmp_path / "c.parquet"
    assert insula(monkeypatch, "index", scans, "--recipe", "stroke-ct", "--out", table) == 0
    capsys.readouterr()
    small = ("--set", "model.encoder=simple_cnn", "--set", "model.pretrained=false")
    words = ("train", table, "--recipe", "stroke-ct", *small, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert insula(monkeypatch, *words) == 19
    assert "insula split" in told(capsys)
    assert not (tmp_path / "run").exists()
