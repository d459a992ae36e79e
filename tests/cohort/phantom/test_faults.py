"""Faults of a whole folder: copies, damaged files, files of another modality, and pictures in class folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from tests.cohort.phantom.heads import digest, table

from insula.cohort.index import index, survey_cohort
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.phantom.plants import parse
from insula.cohort.split import read_files
from insula.core import recipe as recipes
from insula.core.errors import ScanError, UsageError
from insula.scans.read import read

SMALL: dict[str, Any] = {"size": 64, "slices": 8}


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def undone(array: np.ndarray, like: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """A copy and its source (..., Y, X) brought over each other."""
    if how == "flipped":
        return array[..., ::-1], like
    if how == "cropped":
        y, x = ((a - b) // 2 for a, b in zip(like.shape[-2:], array.shape[-2:], strict=True))
        assert y > 0 < x
        return array, like[..., y:-y, x:-x]
    return array, like


@pytest.mark.parametrize("kind", ["stroke-ct", "brain-tumour", "clot-origin"])
def test_copies_stand_under_other_ids_in_four_ways_and_across_splits(kind: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / "made", 9, **SMALL, plants=parse(["duplicates:4"]))
    rows = table(folder)
    copies = [r for r in rows if r["copy_of"]]
    assert {r["copy"] for r in copies} == {"exact", "recompressed", "flipped", "cropped"}
    assert len({r["patient_id"] for r in rows}) == 13
    sources = {r["patient_id"]: [s for s in rows if s["patient_id"] == r["copy_of"]] for r in copies}
    for patient, originals in sources.items():
        own = [r for r in copies if r["patient_id"] == patient]
        for copy, original in zip(own, originals, strict=True):
            assert copy["given_label"] == original["given_label"]
            a, b = folder / copy["scan"], folder / original["scan"]
            files = [sorted(p.iterdir()) if p.is_dir() else [p] for p in (a, b)]
            same = [digest(x) == digest(y) for x, y in zip(*files, strict=True)]
            assert all(same) if copy["copy"] == "exact" else not any(same)
            first, second = undone(read(a).array, read(b).array, copy["copy"])
            assert likeness(first, second) > (0.9 if kind == "clot-origin" else 0.98)
            if copy["copy"] in ("flipped", "cropped") and kind != "clot-origin":
                np.testing.assert_array_equal(first, second)
            if copy["true_mask"]:
                m, n = undone(
                    read(folder / copy["true_mask"]).array, read(folder / original["true_mask"]).array, copy["copy"]
                )
                np.testing.assert_array_equal(m, n)
    recipe = recipes.load(kind)
    cohort = read_files(index(folder, recipe), folder / "splits")
    split = {c.patient: c.split for c in cohort.cases}
    assert all(split[p] == "test" and split[o[0]["patient_id"]] == "train" for p, o in sources.items())
    assert {c.split for c in cohort.cases} == {"train", "val", "test"}


def test_copied_series_are_dicom_that_pydicom_reads(tmp_path: Path) -> None:
    folder = make("stroke-ct", tmp_path / "made", 4, **SMALL, plants=parse(["duplicates:4"]))
    for row in table(folder):
        sets = [pydicom.dcmread(p) for p in sorted((folder / row["scan"]).iterdir())]
        assert len({d.SOPInstanceUID for d in sets}) == len({d.file_meta.MediaStorageSOPInstanceUID for d in sets}) == 8
        assert all(d.pixel_array.shape == (d.Rows, d.Columns) for d in sets)
        if row["copy"] not in ("", "exact"):
            assert {d.PatientID for d in sets} == {row["patient_id"]}
        if row["copy"] == "recompressed":
            assert sets[0].file_meta.TransferSyntaxUID.is_compressed
            assert sets[0].LossyImageCompression == "01"
            source = {d.InstanceNumber: d for d in map(pydicom.dcmread, (folder / "dicom" / row["copy_of"]).iterdir())}
            worst = max(
                int(np.abs(d.pixel_array.astype(int) - source[d.InstanceNumber].pixel_array).max()) for d in sets
            )
            assert 0 < worst <= 3
    series = {pydicom.dcmread(next((folder / r["scan"]).iterdir())).SeriesInstanceUID for r in table(folder)}
    assert len(series) == 7  # the exact copy has its source's


def test_damaged_files_cannot_be_read_and_are_told(tmp_path: Path) -> None:
    folder = make("clot-origin", tmp_path / "made", 12, **SMALL, plants=parse(["unreadable:3", "duplicates:4"]))
    rows = [r for r in table(folder) if r["damage"]]
    assert sorted(r["damage"] for r in rows) == ["empty", "garbage", "truncated"]
    assert not {r["patient_id"] for r in rows} & {r["copy_of"] for r in table(folder)}
    for row in rows:
        with pytest.raises(ScanError):
            read(folder / row["damaged_file"])
    facts = json.loads((folder / "phantom.json").read_text())
    assert facts["planted"]["unreadable"] == sorted(r["patient_id"] for r in rows)
    indexed = survey_cohort(folder, recipes.load("clot-origin"))
    assert {a.path for a in indexed.aside} == {r["damaged_file"] for r in rows if r["damage"] != "truncated"}
    read_files(indexed.cohort, folder / "splits")


@pytest.mark.parametrize(
    ("kind", "reason"), [("stroke-ct", "modality MR"), ("brain-tumour", "modality CT"), ("clot-origin", "NIfTI")]
)
def test_a_file_of_another_modality_is_set_aside_by_the_index(kind: str, reason: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / "made", 6, **SMALL, plants=parse(["wrong-modality:2"]))
    strange = {r["scan"] for r in table(folder) if r["damage"] == "modality"}
    indexed = survey_cohort(folder, recipes.load(kind))
    assert {a.path for a in indexed.aside} == strange
    assert len(strange) == 2
    assert all(reason in a.reason for a in indexed.aside)
    assert len({c.patient for c in indexed.cohort.cases}) == 6
    for path in strange:
        if path.endswith(".dcm"):
            assert pydicom.dcmread(folder / path).pixel_array.shape == (64, 64)


@pytest.mark.parametrize(("form", "mode"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_pictures_lie_in_class_folders_as_the_index_wants_them(form: str, mode: str, tmp_path: Path) -> None:
    plants = parse(["text:stroke", "colour:normal", "label-noise:0.25"])
    folder = make("stroke-ct", tmp_path / "made", 8, **SMALL, options=Options(form=form), plants=plants)
    assert not (folder / "labels.csv").exists()
    cohort = index(folder, recipes.load("stroke-ct"))
    rows = {r["patient_id"]: r for r in table(folder)}
    assert {c.patient: c.labels["stroke"] for c in cohort.cases} == {p: (r["given_label"],) for p, r in rows.items()}
    for row in rows.values():
        assert row["scan"].split("/")[0] == row["given_label"]
        for path in (folder / row["scan"]).iterdir():
            with Image.open(path) as image:
                assert image.format == mode
                assert image.mode == ("RGB" if row["true_label"] == "normal" else "L")
                assert image.size == (64, 64)
                corner = np.asarray(image.convert("L"))[:10, -10:].max()
            assert (corner > 200) == (row["true_label"] == "stroke")
            if row["true_mask"]:
                mask = folder / row["true_mask"] / f"{path.stem}.png"
                assert set(np.unique(np.asarray(Image.open(mask)))) <= {0, 255}


def test_a_picture_shows_the_brain_window_of_the_scan(tmp_path: Path) -> None:
    pictures = make("haemorrhage-ct", tmp_path / "a", 2, seed=3, **SMALL, options=Options(form="png"))
    scans = make("haemorrhage-ct", tmp_path / "b", 2, seed=3, **SMALL)
    for row, other in zip(table(pictures), table(scans), strict=True):
        hu = read(scans / other["scan"]).array[0]
        for path in (pictures / row["scan"]).iterdir():
            shown = np.asarray(Image.open(path), float)
            z = int(path.stem.rsplit("_", 1)[1])
            np.testing.assert_allclose(shown, np.clip(hu[z], 0, 80) / 80 * 255, atol=2.2)  # half a HU and half a level


def test_a_haemorrhage_in_pictures_has_the_one_kind_that_its_folder_names(tmp_path: Path) -> None:
    folder = make("haemorrhage-ct", tmp_path / "made", 24, **SMALL, options=Options(form="jpeg"))
    assert all("+" not in r["lesion"] for r in table(folder))
    cohort = index(folder, recipes.load("haemorrhage-ct"))
    assert {len(c.labels["haemorrhage"]) for c in cohort.cases} == {0, 2}


def test_mr_slices_as_pictures(tmp_path: Path) -> None:
    options = Options(form="jpeg", contrasts=("flair",))
    folder = make("brain-tumour", tmp_path / "made", 6, **SMALL, options=options)
    cohort = index(folder, recipes.load("brain-tumour"))
    assert {c.patient: c.labels["tumour"][0] for c in cohort.cases} == {
        r["patient_id"]: r["true_label"] for r in table(folder)
    }


def test_missing_metadata_cannot_be_planted_into_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no metadata"):
        make("stroke-ct", tmp_path / "m", 4, **SMALL, options=Options(form="png"), plants=parse(["missing:0.5"]))


def test_the_same_plants_give_the_same_bytes(tmp_path: Path) -> None:
    plants = parse(["duplicates:2", "unreadable:2", "wrong-modality:2", "device:0.5", "label-noise:0.5", "missing:0.5"])
    one, two = (make("stroke-ct", tmp_path / n, 4, **SMALL, plants=plants) for n in ("a", "b"))
    files = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in (one, two)]
    assert files[0] == files[1]
    assert [digest(one / p) for p in files[0]] == [digest(two / p) for p in files[0]]
