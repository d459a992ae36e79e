from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pydicom.data import get_testdata_file
from tests.cohort.made_folders import by_patient, dicom_patient, picture
from tests.scans.made_dicom import write

from insula.cli import cohort as verbs
from insula.cohort.index import Hints, survey_cohort
from insula.cohort.layouts import masks, rsna
from insula.cohort.layouts.sidecars import parts
from insula.cohort.table import load_notes
from insula.core import recipe as recipes
from insula.core.errors import CohortError

STROKE = recipes.load("stroke-ct")
SERIES = recipes.load("stroke-ct", ("inputs.ct.unit=series",))
BLEED = recipes.load("haemorrhage-ct")
TUMOUR = recipes.load("brain-tumour")
SLICES = recipes.load("haemorrhage-ct", ("inputs.ct.unit=image",))
DATA = Path(os.environ.get("INSULA_DATA", Path(__file__).parents[3] / "shared" / "data"))


def nifti(path: Path, shape: tuple[int, int, int] = (4, 5, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), path)
    return path


def rsna_table(path: Path, labels: dict[str, str], repeat: str = "") -> None:
    """The challenge's own form: six rows an image, in any order of the kinds."""
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["ID", "Label"])
        for image, positive in [*labels.items(), *([(repeat, labels[repeat])] if repeat else [])]:
            for kind in ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any"):
                table.writerow([f"{image}_{kind}", int(kind in positive.split("+"))])


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """Two patients: one of two series, one of one; file names say nothing of series or place."""
    places = {"ID_a1": ("A", "1.1"), "ID_a2": ("A", "1.1"), "ID_a3": ("A", "1.2"), "ID_b1": ("B", "2.1")}
    for k, (image, (patient, series)) in enumerate(places.items()):
        pixels = picture(k, 32).astype(np.int16)
        fields = {"PatientID": f"ID_{patient}", "SeriesInstanceUID": series, "StudyInstanceUID": f"9.{series}"}
        write(tmp_path / "stage_2_train" / f"{image}.dcm", pixels, ImagePositionPatient=[0, 0, 5 * k], **fields)
    labels = {"ID_a1": "any+subdural", "ID_a2": "", "ID_a3": "", "ID_b1": "any+epidural+subdural", "ID_zz": "any"}
    rsna_table(tmp_path / "stage_2_train.csv", labels, repeat="ID_a2")
    return tmp_path


def test_the_rsna_table_gives_a_series_every_label_of_its_slices(challenge: Path) -> None:
    made = survey_cohort(challenge, BLEED)
    assert (made.layout, made.rows_without_scan) == ("rsna", 1)
    assert "stage_2_train.csv" in made.why
    found = {c.key: (c.patient, c.labels["haemorrhage"], len(c.scans["ct"].paths)) for c in made.cohort.cases}
    assert found == {
        "ID_A/1.1": ("ID_A", ("any", "subdural"), 2),
        "ID_A/1.2": ("ID_A", (), 1),
        "ID_B": ("ID_B", ("any", "epidural", "subdural"), 1),
    }


def test_the_rsna_table_by_slice(challenge: Path) -> None:
    labels = {c.key[-9:-4]: c.labels["haemorrhage"] for c in survey_cohort(challenge, SLICES).cohort.cases}
    assert labels == {"ID_a1": ("any", "subdural"), "ID_a2": (), "ID_a3": (), "ID_b1": ("any", "epidural", "subdural")}


def test_rsna_rows_that_cannot_be_used_say_why(challenge: Path) -> None:
    table = challenge / "stage_2_train.csv"
    lines = [line for line in table.read_text().splitlines() if line != "ID_a3_epidural,0"]
    table.write_text("\n".join([*lines, "ID_a1_subdural,0", "ID_b1_any,1"]) + "\n")
    table.write_text(table.read_text().replace("ID_b1_any,1", "ID_b1_any,0"))
    made = survey_cohort(challenge, SLICES)
    reasons = {a.path[-9:-4]: a.reason for a in made.aside}
    assert reasons == {
        "ID_a1": "its rows in stage_2_train.csv contradict each other",
        "ID_a3": "stage_2_train.csv has 5 of its 6 labels",
        "ID_b1": "its label any contradicts its other labels in stage_2_train.csv",
    }
    assert [c.key[-9:-4] for c in made.cohort.cases] == ["ID_a2"]
    table.write_text(table.read_text() + "ID_q_any,maybe\n")
    with pytest.raises(CohortError, match=r"row \d+: 'ID_q_any,maybe'"):
        survey_cohort(challenge, SLICES)


def test_another_recipe_for_the_rsna_table(challenge: Path) -> None:
    with pytest.raises(CohortError, match=r"stage_2_train.csv labels any.*recipe 'stroke-ct' asks for normal, stroke"):
        survey_cohort(challenge, STROKE)


def test_the_rsna_table_is_streamed(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "t.csv").open("w") as stream:
        stream.write("ID,Label\n")
        for n in range(8_000):
            stream.writelines(f"ID_{n:09x}_{kind},{int(n == 7)}\n" for kind in rsna.KINDS)
    size = (tmp_path / "t.csv").stat().st_size
    tracemalloc.start()
    positive, seen, clash, without = rsna.read(tmp_path / "t.csv", {f"ID_{7:09x}": 0, f"ID_{8:09x}": 1})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (positive.tolist(), seen.tolist(), clash, without) == ([63, 0], [63, 63], [False, False], 7_998)
    assert peak < size / 20


def test_dicom_headers_without_a_table(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "disc" / "1", "A", seed=1, PatientSex="F", PatientAge="061Y", ManufacturerModelName="X1")
    dicom_patient(tmp_path / "disc" / "2", "A", seed=2)
    dicom_patient(tmp_path / "disc" / "3", "", slices=1, seed=3)
    made = survey_cohort(tmp_path, SERIES)
    assert (made.layout, made.why) == ("dicom", "6 DICOM file(s) name their patient in the header")
    first = made.cohort.cases[0]
    assert (first.key, first.patient, first.labels) == ("A/1.2.1", "A", {})
    assert dict(first.attributes) == {"sex": "F", "age": "61", "scanner": "X1"}
    assert first.scans["ct"].study_uid == "1.9.1"
    assert [a.reason for a in made.aside] == ["no PatientID in its header"]


@pytest.mark.parametrize(("column", "value"), [("StudyInstanceUID", "1.9.{}"), ("SeriesInstanceUID", "1.2.{}")])
def test_labels_by_study_or_series_in_a_table_elsewhere(tmp_path: Path, column: str, value: str) -> None:
    for seed in (1, 2, 3):
        dicom_patient(tmp_path / "in" / str(seed), f"P{seed % 2}", seed=seed)
    table = tmp_path / "truth.csv"
    rows = [f"{value.format(seed)},{name}" for seed, name in ((1, "stroke"), (2, "normal"))]
    table.write_text("\n".join([f"{column},finding", *rows]) + "\n")
    made = survey_cohort(tmp_path / "in", SERIES, Hints(labels=table, column="finding"))
    assert made.layout == "table"
    assert {c.patient: c.labels["stroke"] for c in made.cohort.cases} == {"P1": ("stroke",), "P0": ("normal",)}
    assert Counter(a.reason for a in made.aside) == {"no row of truth.csv is about it": 3}
    forced = survey_cohort(tmp_path / "in", SERIES, Hints(labels=table, column="finding", layout="dicom"))
    assert [c.labels.get("stroke") for c in forced.cohort.cases] == [("stroke",), ("normal",), None]
    with pytest.raises(CohortError, match="no column 'truth'"):
        survey_cohort(tmp_path / "in", SERIES, Hints(labels=table, column="truth"))
    with pytest.raises(CohortError, match=r"no table of labels 'none\.csv'"):
        survey_cohort(tmp_path / "in", SERIES, Hints(labels=tmp_path / "none.csv"))


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    (tmp_path / "dataset_description.json").write_text('{"Name": "made", "BIDSVersion": "1.10.0"}')
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tsex\tage\tdiagnosis\nsub-01\tF\t61\tbenign\nsub-02\tM\tn/a\thealthy\nsub-03\tF\t5\tn/a\n"
    )
    (tmp_path / "T1w.json").write_text(json.dumps({"Manufacturer": "M", "MagneticFieldStrength": 3, "FlipAngle": 9}))
    for who in ("sub-01/ses-a", "sub-01/ses-b", "sub-02"):
        name = who.replace("/", "_")
        nifti(tmp_path / who / "anat" / f"{name}_T1w.nii.gz")
        nifti(tmp_path / who / "anat" / f"{name}_FLAIR.nii.gz")
    beside = tmp_path / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_T1w.json"
    beside.write_text(json.dumps({"Manufacturer": "N", "InstitutionName": "west"}))
    out = tmp_path / "derivatives" / "drawn" / "sub-01" / "ses-a" / "anat"
    nifti(out / "sub-01_ses-a_label-lesion_mask.nii.gz")
    nifti(out / "sub-01_ses-a_desc-brain_mask.nii.gz")
    return tmp_path


def test_bids(bids: Path) -> None:
    made = survey_cohort(bids, TUMOUR, Hints(column="diagnosis"))
    assert (made.layout, made.why) == ("bids", "participants.tsv and 2 sub-* folder(s) as in BIDS")
    first, second, third = made.cohort.cases
    assert [c.patient for c in made.cohort.cases] == ["sub-01", "sub-01", "sub-02"]
    assert first.scans["mri"].paths == ("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",)
    assert [c.labels for c in (first, third)] == [{"tumour": ("benign",)}, {"tumour": ("healthy",)}]
    assert dict(first.attributes) == {"manufacturer": "M", "sex": "F", "age": "61"}
    assert dict(second.attributes) == {"manufacturer": "N", "site": "west", "sex": "F", "age": "61"}
    assert dict(third.attributes) == {"manufacturer": "M", "sex": "M"}
    assert third.scans["mri"].attributes["field_strength"] == "3"
    assert first.scans["mri"].mask.endswith("label-lesion_mask.nii.gz")
    assert (second.scans["mri"].mask, third.scans["mri"].mask) == ("", "")
    assert made.rows_without_scan == 1
    assert Counter(a.reason for a in made.aside) == {
        "its suffix is FLAIR, and T1w is wanted": 3,
        "a derivative, not a scan": 1,
    }


def test_bids_of_another_suffix_or_without_labels(bids: Path) -> None:
    made = survey_cohort(bids, TUMOUR, Hints(suffix="FLAIR"))
    assert {c.scans["mri"].paths[0][-12:] for c in made.cohort.cases} == {"FLAIR.nii.gz"}
    assert not any(c.labels for c in made.cohort.cases)
    with pytest.raises(CohortError, match=r"suffix bold; its suffixes: FLAIR \(3\), T1w \(3\)"):
        survey_cohort(bids, TUMOUR, Hints(suffix="bold"))
    with pytest.raises(CohortError, match="no column 'group'"):
        survey_cohort(bids, TUMOUR, Hints(column="group"))


def test_names_of_bids() -> None:
    assert parts("a/sub-01_ses-2_T1w.nii.gz") == (frozenset({"sub-01", "ses-2"}), "T1w")


def test_masks_beside_scans_are_no_scans(tmp_path: Path) -> None:
    for patient, name in (("p1", "benign"), ("p2", "healthy")):
        nifti(tmp_path / name / patient / "BraTS_t1ce.nii.gz")
        nifti(tmp_path / name / patient / "BraTS_flair.nii.gz")
        nifti(tmp_path / name / patient / "BraTS_seg.nii.gz")
    nifti(tmp_path / "benign" / "p3" / "scan.nii.gz")
    nifti(tmp_path / "benign" / "p3" / "scan_mask.nii.gz")
    nifti(tmp_path / "benign" / "p4" / "scan.nii.gz", (9, 9, 3))
    nifti(tmp_path / "benign" / "p4" / "lesion.nii.gz")
    made = survey_cohort(tmp_path, TUMOUR)
    assert Counter(a.reason for a in made.aside) == {masks.REASON: 4}
    by_patient = {c.patient: c.scans["mri"].mask for c in made.cohort.cases}
    assert by_patient["p3"] == "benign/p3/scan_mask.nii.gz"
    assert by_patient["p4"] == ""  # of another size
    assert len(made.cohort.cases) == 6
    only = survey_cohort(tmp_path, TUMOUR, Hints(suffix="t1ce"))
    assert [c.key for c in only.cohort.cases] == ["p1", "p2"]


def test_a_file_that_is_only_called_like_a_mask_stays(tmp_path: Path) -> None:
    for name in ("benign", "healthy"):
        nifti(tmp_path / name / f"p{name}" / "x_roi.nii.gz")
    assert len(survey_cohort(tmp_path, TUMOUR).cohort.cases) == 2
    assert masks.is_mask("a/x_T1_mask.nii")
    assert masks.is_mask("lesion.nii.gz")
    assert not masks.is_mask("a/unmask.nii.gz")
    assert not masks.is_mask("seg/x_T1.nii.gz")


def test_masks_of_pictures_only_beside_their_picture(tmp_path: Path) -> None:
    for name in ("normal", "stroke"):
        (tmp_path / name).mkdir()
        for file in ("a", "a_mask", "b_mask"):
            Image.fromarray(picture(3, 32)).save(tmp_path / name / f"{file}.png")
    made = survey_cohort(tmp_path, STROKE)
    assert [(c.key, c.scans["ct"].mask) for c in made.cohort.cases][:2] == [
        ("normal/a.png", "normal/a_mask.png"),
        ("normal/b_mask.png", ""),
    ]


def test_no_layout_fits_and_what_was_looked_for(tmp_path: Path) -> None:
    by_patient(tmp_path, {"healthy": 1, "ill": 1})
    with pytest.raises(CohortError) as caught:
        survey_cohort(tmp_path, STROKE)
    for wanted in ("healthy, ill", "normal, stroke", "labels.csv", "ID and Label", "participants.tsv", "PatientID"):
        assert wanted in str(caught.value)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("bids", "suffix CT; its suffixes: none"),
        ("table", "holds no labels.csv"),
        ("rsna", "no table with the columns ID and Label"),
        ("dicom", "names its patient"),
        ("other", "no layout 'other'; there are: auto, rsna, bids, table, folders, dicom"),
    ],
)
def test_a_forced_layout_that_does_not_fit(tmp_path: Path, layout: str, message: str) -> None:
    by_patient(tmp_path, {"normal": 1, "stroke": 1})
    with pytest.raises(CohortError, match=message):
        survey_cohort(tmp_path, STROKE, Hints(layout=layout))


def test_folders_can_be_forced_past_a_table(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 1, "stroke": 1})
    (tmp_path / "labels.csv").write_text("patient_id,label\np000,stroke\n")
    assert survey_cohort(tmp_path, STROKE).layout == "table"
    made = survey_cohort(tmp_path, STROKE, Hints(layout="folders"))
    assert (made.layout, len(made.cohort.cases)) == ("folders", 4)


def test_real_files_of_pydicom_are_laid_out_by_their_headers(tmp_path: Path) -> None:
    for name in ("CT_small.dcm", "MR_small.dcm"):
        (tmp_path / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    made = survey_cohort(tmp_path, SERIES)
    assert [c.patient for c in made.cohort.cases] == ["1CT1"]
    assert [a.reason for a in made.aside] == ["modality MR; the recipe takes CT"]


def test_the_verb_says_which_layout_and_keeps_what_was_left_out(challenge: Path) -> None:
    out = challenge.parent / "c.csv"
    (challenge / "torn.dcm").write_text("no scan")
    line = [str(challenge), "--recipe", "haemorrhage-ct", "--out", str(out)]
    done = CliRunner().invoke(verbs.index, line, catch_exceptions=False)
    assert "Layout rsna: stage_2_train.csv has the columns ID and Label" in done.output
    assert "1 row of the table without a scan of ct" in done.output
    notes = load_notes(out)
    assert (notes.layout, [a.path for a in notes.aside]) == ("rsna", ["torn.dcm"])


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")
def test_real_dicom_folders() -> None:
    made = survey_cohort(DATA / "ct_dicom" / "In", SERIES)
    assert [len(c.scans["ct"].paths) for c in made.cohort.cases] == [28]
    reasons = Counter(a.reason for a in made.aside)
    assert reasons["no slice of a scan (localiser)"] == 6
    assert reasons["no slice of a scan (screen capture)"] == 6
    assert sum("index of files" in reason for reason in (a.reason for a in made.aside)) == 3


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")
def test_real_split_folders() -> None:
    four = "targets.tumour.classes=[notumor,glioma,meningioma,pituitary]"
    recipe = recipes.load("brain-tumour", (four, "targets.tumour.primary=glioma", "inputs.mri.unit=image"))
    made = survey_cohort(DATA / "brain_tumor_mri", recipe)
    assert (made.layout, made.cohort.split_level, made.cohort.patient_ids) == ("folders", "picture", False)
    assert Counter(c.split for c in made.cohort.cases) == {"train": 5708, "test": 1311}
