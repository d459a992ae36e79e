from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cohort.made_folders import by_patient, dicom_patient, flat, picture
from tests.scans.made_dicom import write

from insula.cohort.index import index, survey_cohort
from insula.core import recipe as recipes
from insula.core.errors import CohortError, UnsuitableScanError
from insula.scans.read import read_files

STROKE = recipes.load("stroke-ct")
SERIES = recipes.load("stroke-ct", ("inputs.ct.unit=series",))
BLEED = recipes.load("haemorrhage-ct")
DATA = Path(os.environ.get("INSULA_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_class_and_patient_folders_by_picture(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"Normal": 2, "STROKE": 1}), STROKE)
    assert len(cohort.cases) == 6
    assert cohort.patient_ids
    assert {c.patient for c in cohort.cases} == {"p000", "p001", "p002"}
    last = cohort.cases[-1]
    assert last.key == "STROKE/p002/2.png"
    assert last.labels == {"stroke": ("stroke",)}
    assert last.scans["ct"].attributes == {"size": "96x96", "mode": "L"}
    assert len({c.key for c in cohort.cases}) == 6


def test_by_series_a_patients_pictures_are_one_stack(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"normal": 1, "stroke": 1}, files=11), SERIES)
    assert [c.key for c in cohort.cases] == ["p000", "p001"]
    paths = cohort.cases[0].scans["ct"].paths
    assert paths[1] == "normal/p000/2.png"
    assert paths[-1] == "normal/p000/11.png"


def test_files_without_patients_and_with_a_pattern(tmp_path: Path) -> None:
    flat(tmp_path, {"normal": 4, "stroke": 4})
    unknown = index(tmp_path, STROKE)
    assert not unknown.patient_ids
    assert len({c.patient for c in unknown.cases}) == 8
    known = index(tmp_path, STROKE, r"/(s\d+)_")
    assert known.patient_ids
    assert Counter(c.patient for c in known.cases) == {"s00": 2, "s01": 2, "s02": 2, "s03": 2}
    assert [c.key for c in index(tmp_path, SERIES, r"/(s\d+)_").cases] == ["s00", "s01", "s02", "s03"]
    with pytest.raises(CohortError, match="no group"):
        index(tmp_path, STROKE, "s")
    with pytest.raises(CohortError, match="no regular expression"):
        index(tmp_path, STROKE, "(")
    with pytest.raises(CohortError, match="two classes"):
        index(tmp_path, STROKE, "/(s)")


def test_unknown_class_folders_are_named_with_the_recipes_classes(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 1, "tumour": 1})
    with pytest.raises(CohortError, match=r"tumour.*does not know.*normal, stroke"):
        index(tmp_path, STROKE)


def test_a_patient_under_two_classes(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 1, "stroke": 1})
    (tmp_path / "stroke" / "p001").rename(tmp_path / "stroke" / "p000")
    with pytest.raises(CohortError, match=r"'p000' \(normal, stroke\)"):
        index(tmp_path, STROKE)


def test_published_splits_are_kept(tmp_path: Path) -> None:
    for part in ("Training", "Testing"):
        flat(tmp_path / part, {"normal": 2, "stroke": 1})
    cohort = index(tmp_path, STROKE)
    assert Counter(c.split for c in cohort.cases) == {"train": 3, "test": 3}
    assert cohort.split_level == "picture"
    again = index(tmp_path, STROKE, r"((?:Train|Test)\w+/\w+/s\d+)")
    assert again.split_level == "patient"


def test_rubbish_is_set_aside_and_what_is_no_scan_is_passed_over(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 1, "stroke": 1})
    (tmp_path / "normal" / "p000" / "torn.dcm").write_text("no scan")
    (tmp_path / "normal" / "p000" / "empty.png").write_bytes(b"")
    for name in ("phantom.json", ".hidden", "DICOMDIR", "masks/m.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    made = survey_cohort(tmp_path, STROKE)
    assert len(made.cohort.cases) == 4
    assert {a.path for a in made.aside} == {"normal/p000/torn.dcm", "normal/p000/empty.png"}


def test_nothing_usable(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="does not exist"):
        index(tmp_path / "none", STROKE)
    with pytest.raises(CohortError, match="holds no files"):
        index(tmp_path, STROKE)
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / "a.dcm").write_text("no scan")
    with pytest.raises(CohortError, match=r"None of the 1 files.*a\.dcm"):
        index(tmp_path, STROKE)


def test_another_modality_or_format_than_the_recipes(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "normal" / "a", "A", Modality="MR")
    with pytest.raises(UnsuitableScanError, match=r"takes CT.*3 of modality MR"):
        index(tmp_path, STROKE)
    dicom_patient(tmp_path / "normal" / "b", "B")
    made = survey_cohort(tmp_path, STROKE)
    assert len(made.cohort.cases) == 3
    assert Counter(a.reason for a in made.aside) == {"modality MR; the recipe takes CT": 3}
    slides = tmp_path / "slides" / "CE" / "p"
    slides.mkdir(parents=True)
    raw = bytearray(400)
    raw[0:4], raw[344:348] = (348).to_bytes(4, "little"), b"n+1\0"
    raw[40:56] = np.array([3, 4, 4, 4, 1, 1, 1, 1], "<i2").tobytes()
    raw[70:74] = np.array([2, 8], "<i2").tobytes()
    (slides / "a.nii").write_bytes(bytes(raw))
    with pytest.raises(UnsuitableScanError, match="NIfTI"):
        index(tmp_path / "slides", recipes.load("clot-origin"))


def test_dicom_headers_and_a_table(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "x" / "1", "A", seed=1, PatientSex="F", PatientAge="061Y")
    dicom_patient(tmp_path / "x" / "2", "B", seed=2, PatientSex="M")
    dicom_patient(tmp_path / "y", "C", seed=3)
    write(tmp_path / "x" / "1" / "scout.dcm", np.zeros((4, 4), np.int16), ImageType=["ORIGINAL", "X", "LOCALIZER"])
    (tmp_path / "labels.csv").write_text(
        "patient_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,sex,kind\n"
        "A,1,0,0,0,0,1,,acute\nB,0,0,0,0,0,0,F,\nD,0,0,0,0,0,0,,\n"
    )
    made = survey_cohort(tmp_path, BLEED)
    first, second = made.cohort.cases
    assert (first.key, first.labels) == ("A", {"haemorrhage": ("any", "subdural")})
    assert dict(first.attributes) == {"sex": "F", "age": "61", "kind": "acute"}
    assert dict(second.attributes) == {"sex": "F"}
    assert second.labels == {"haemorrhage": ()}
    assert (first.scans["ct"].series_uid, first.scans["ct"].study_uid) == ("1.2.1", "1.9.1")
    volume = read_files([tmp_path / p for p in first.scans["ct"].paths])
    heights = [float(p.split("/")[-1][0]) for p in first.scans["ct"].paths]
    assert len(heights) == volume.array.shape[1] == 3
    assert heights == [3.0, 5.0, 0.0]  # file 3 is the lowest slice
    assert made.rows_without_scan == 1
    assert Counter(a.reason for a in made.aside) == {
        "no row of labels.csv is about it": 3,
        "no slice of a scan (localiser)": 1,
    }


def test_a_table_with_paths_of_scans_and_masks(tmp_path: Path) -> None:
    (tmp_path / "scans" / "a").mkdir(parents=True)
    for name in ("a/1", "a/2", "b"):
        Image.fromarray(picture(1)).save(tmp_path / "scans" / f"{name}.png")
    np.save(tmp_path / "lesion.npy", np.zeros((2, 2)))
    (tmp_path / "labels.csv").write_text(
        "patient_id,label,scan,mask\nP,stroke,scans/a,lesion.npy\nQ,NORMAL,scans/b.png,\n"
    )
    cohort = index(tmp_path, SERIES)
    assert [(c.key, c.labels["stroke"]) for c in cohort.cases] == [("P", ("stroke",)), ("Q", ("normal",))]
    stack = cohort.cases[0].scans["ct"]
    assert stack.paths == ("scans/a/1.png", "scans/a/2.png")
    assert stack.mask == "lesion.npy"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,label\nA,stroke\n", "no column patient_id"),
        ("patient_id,normal\nA,1\n", "missing: stroke"),
        ("patient_id,label\n", "no rows"),
        ("patient_id,label\nA,tumour\n", "row 2: 'tumour' is none of"),
        ("patient_id,normal,stroke\nA,1,1\n", "2 classes are 1"),
        ("patient_id,normal,stroke\nA,yes,0\n", "has to be 0 or 1"),
        ("patient_id,label\nA,stroke\nA,normal\n", "rows 2 and 3: one patient has two classes"),
        ("patient_id,label,scan\nA,stroke,../../etc\n", "leads out"),
        ("patient_id,label,scan\nA,stroke,/etc/passwd\n", "leads out"),
        ("patient_id,label,scan\nA,stroke,none.png\n", "does not exist"),
        ("patient_id,label\n,stroke\n", "row 2: patient_id is empty"),
    ],
)
def test_faults_of_the_table_are_named(tmp_path: Path, text: str, message: str) -> None:
    dicom_patient(tmp_path / "a", "A")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(CohortError, match=message):
        index(tmp_path, STROKE)


def test_a_label_that_contradicts_any(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "a", "A")
    header = "patient_id," + ",".join(BLEED.target.classes)
    (tmp_path / "labels.csv").write_text(f"{header}\nA,0,1,0,0,0,0\n")
    with pytest.raises(CohortError, match="any is 0 and epidural is 1"):
        index(tmp_path, BLEED)


def test_multilabel_class_folders_join_a_patients_labels(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "subdural" / "a", "A", seed=1)
    dicom_patient(tmp_path / "epidural" / "a", "A", seed=2)
    dicom_patient(tmp_path / "none" / "b", "B", seed=3)
    labels = {c.patient: set(c.labels["haemorrhage"]) for c in index(tmp_path, BLEED).cases}
    assert labels == {"a": {"any", "subdural", "epidural"}, "b": set()}


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")
def test_real_stroke_pictures() -> None:
    cohort = index(DATA / "stroke_ct", SERIES)
    assert Counter(c.labels["stroke"][0] for c in cohort.cases) == {"normal": 39, "stroke": 23}
