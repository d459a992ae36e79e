import csv
import hashlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from insula.cohort.index import index
from insula.cohort.phantom import ct, lesions
from insula.cohort.phantom.anatomy import build_head, draw_person
from insula.cohort.phantom.make import KINDS, make
from insula.cohort.phantom.order import TRUTH, Options
from insula.core import recipe as recipes
from insula.core.errors import UsageError
from insula.scans.read import read

SMALL: dict[str, Any] = {"size": 64, "slices": 12}


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    folders = [make(kind, tmp_path / str(i), 3, seed=s, **SMALL) for i, s in enumerate((1, 1, 2))]
    prints = [fingerprint(f) for f in folders]
    assert prints[0] == prints[1] != prints[2]


def test_several_processes_give_what_one_gives(tmp_path: Path) -> None:
    many = make("clot-origin", tmp_path / "many", 20, seed=1, size=64)
    few = make("clot-origin", tmp_path / "few", 4, seed=1, size=64)
    for path in (few / "pictures").iterdir():
        assert path.read_bytes() == (many / "pictures" / path.name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_reads_every_patient_with_its_label(kind: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path / "made", 12, **SMALL)
    cohort = index(folder, recipes.load(kind))
    assert len({c.patient for c in cohort.cases}) == 12
    present = {name for c in cohort.cases for names in c.labels.values() for name in names}
    target = recipes.load(kind).target
    assert present == set(target.classes)


def test_a_mask_lies_where_the_blood_is_and_inside_the_skull(tmp_path: Path) -> None:
    folder = make("haemorrhage-ct", tmp_path / "made", 12, seed=4, size=96, slices=16)
    for row in csv.DictReader((folder / "labels.csv").read_text().splitlines()):
        kinds = [k for k in lesions.HAEMORRHAGES if row[k] == "1"]
        assert bool(kinds) == (row["any"] == "1") == bool(row["mask"])
        if not kinds:
            continue
        scan, mask = read(folder / row["scan"]), read(folder / row["mask"])
        np.testing.assert_allclose(scan.affine, mask.affine, atol=1e-3)
        inside = mask.array[0] > 0.5
        assert inside.any()
        values = scan.array[0][inside]
        assert 45 < np.median(values) < 85
        assert np.mean(values > 400) < 0.1  # not in the bone


def test_a_series_is_real_dicom_with_shuffled_names_and_one_geometry(tmp_path: Path) -> None:
    folder = make("haemorrhage-ct", tmp_path / "made", 12, seed=3, **SMALL)
    tilts = 0
    for series in sorted((folder / "dicom").iterdir()):
        sets = [pydicom.dcmread(p) for p in sorted(series.iterdir())]
        heights = [float(d.ImagePositionPatient[2]) for d in sets]
        assert heights != sorted(heights)
        assert len({d.SOPInstanceUID for d in sets}) == len(sets)
        assert len({d.SeriesInstanceUID for d in sets}) == 1
        assert all(d.Modality == "CT" and d.BodyPartExamined == "HEAD" and d.PatientSex in "MF" for d in sets)
        volume = read(series)
        assert volume.units == "HU"
        tilt = abs(float(sets[0].GantryDetectorTilt))
        tilts += tilt > 1
        assert any("tilt" in w for w in volume.warnings) == (tilt > 1)
    assert 0 < tilts < 12


@pytest.mark.parametrize("side", [1, -1])
def test_left_is_left_from_the_lesion_to_the_file(side: int, tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    place = ct.geometry(g, 96, 16, tilted=False)
    head = build_head(draw_person(0, 0), ct.points(place))
    lesion = lesions.haemorrhage(head, "epidural", g, side)
    x = (place.affine @ np.array([*np.argwhere(lesion.mask).mean(0)[::-1], 1.0]))[0]
    assert x * side > 20  # LPS: the patient's left is positive
    from insula.core.types import Volume
    from insula.scans.write import write_nifti

    volume = Volume(lesion.mask[None].astype(np.float32), place.affine, "a.u.", "", "made")
    write_nifti(volume, tmp_path / "m.nii.gz")
    image = nibabel.load(tmp_path / "m.nii.gz")
    ras = (image.affine @ np.array([*np.argwhere(np.asarray(image.dataobj) > 0.5).mean(0), 1.0]))[0]
    assert ras * side < -20  # RAS: the patient's left is negative
    back = read(tmp_path / "m.nii.gz")
    columns = np.argwhere(back.array[0] > 0.5)[:, 2].mean()
    assert (columns - 47.5) * side > 0  # on screen, the patient's left is on the right


def test_clots_are_colour_pictures_that_differ_in_their_red_share(tmp_path: Path) -> None:
    folder = make("clot-origin", tmp_path / "made", 16, size=96)
    shares: dict[str, list[float]] = {"CE": [], "LAA": []}
    for row in csv.DictReader((folder / "labels.csv").read_text().splitlines()):
        picture = np.asarray(Image.open(folder / row["scan"]), np.float32)
        assert picture.shape == (96, 96, 3)
        clot = picture.min(2) < 180
        shares[row["label"]].append(float(((picture[..., 1] < 100) & clot).sum() / clot.sum()))
    assert np.mean(shares["LAA"]) > np.mean(shares["CE"]) + 0.15


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        make("stroke-ct", tmp_path / "full", 4)
    with pytest.raises(UsageError, match="no phantom 'knee'"):
        make("knee", tmp_path / "a", 4)
    with pytest.raises(UsageError, match="8 pixels"):
        make("stroke-ct", tmp_path / "b", 4, size=8)
    assert {p.name for p in tmp_path.iterdir()} == {"full"}


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("stroke-ct", Options(), set()),
        ("stroke-ct", Options(answers=True), {"kind", "infarct_age"}),
        ("brain-tumour", Options(), set()),
        ("brain-tumour", Options(modality="both"), {"stage", "survival_days", "death"}),
        ("brain-tumour", Options(answers=True), {"stage", "survival_days", "death"}),
    ],
)
def test_what_tells_the_answer_stands_in_the_truth_unless_it_is_asked_for(
    tmp_path: Path, kind: str, options: Options, told: set[str]
) -> None:
    folder = make(kind, tmp_path / "made", 6, **SMALL, options=options)
    given = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    assert set(given[0]) & set(TRUTH) == told
    assert all(any(row[name] for row in given) for name in told)
    truth = list(csv.DictReader((folder / "truth.csv").read_text().splitlines()))
    hidden = ("lesion", "true_infarct_age") if kind == "stroke-ct" else ("true_stage", "true_survival_days")
    assert all(any(row[name] for row in truth) for name in hidden)
    if not told:
        facts = {name for case in index(folder, recipes.load(kind)).cases for name in case.attributes}
        assert facts.isdisjoint(TRUTH)
        assert "age" in facts
