from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.cohort.made_folders import by_patient, dicom_patient, picture

from insula.cohort.index import index
from insula.cohort.leaks import LeakReport, find
from insula.cohort.split import split
from insula.core import recipe as recipes
from insula.core.types import Cohort, Split

DATA = Path(__file__).parents[3] / "shared" / "data"
STROKE = recipes.load("stroke-ct")
SERIES = recipes.load("stroke-ct", ("inputs.ct.unit=series",))


def with_splits(cohort: Cohort, splits: dict[str, Split]) -> Cohort:
    return replace(
        cohort,
        cases=tuple(replace(c, split=splits.get(c.patient, "train")) for c in cohort.cases),
        split_level="patient",
    )


def kinds(report: LeakReport) -> set[tuple[str, bool, bool]]:
    return {(p.kind, p.crosses, p.clash) for p in report.pairs}


def test_a_clean_split_passes_and_one_by_picture_does_not(tmp_path: Path) -> None:
    cohort = index(by_patient(tmp_path, {"normal": 6, "stroke": 6}, files=3), STROKE)
    assert find(cohort).verdict == "cannot tell"
    clean = find(split(cohort, STROKE))
    assert (clean.verdict, clean.pairs, clean.looked_at) == ("pass", (), 36)
    leaking = find(split(cohort, STROKE, level="picture"))
    assert leaking.verdict == "fail"
    assert leaking.patients > 0
    assert leaking.identical == leaking.near == 0


@pytest.mark.parametrize("change", ["resized", "bright", "flipped", "turned", "recompressed"])
def test_a_changed_copy_of_another_patients_picture_is_found(tmp_path: Path, change: str) -> None:
    by_patient(tmp_path, {"normal": 5, "stroke": 5}, files=1)
    source = picture(0)
    changed = {
        "resized": np.asarray(cv2.resize(source, (61, 61), interpolation=cv2.INTER_AREA)),
        "bright": np.clip(source * 0.8 + 12, 0, 255).astype(np.uint8),
        "flipped": source[:, ::-1],
        "turned": np.rot90(source),
        "recompressed": source,
    }[change]
    folder = tmp_path / "stroke" / "copy"
    folder.mkdir()
    name = "1.jpg" if change == "recompressed" else "1.png"
    Image.fromarray(np.ascontiguousarray(changed)).save(folder / name, quality=40)
    report = find(with_splits(index(tmp_path, STROKE), {"copy": "test"}))
    assert [(p.first, p.second, p.kind, p.clash) for p in report.pairs] == [
        ("normal/p000/1.png", f"stroke/copy/{name}", "near", True)
    ]
    assert (report.near, report.verdict) == (1, "fail")


def test_the_same_file_in_two_classes(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 3, "stroke": 3}, files=1)
    shutil.copy(tmp_path / "normal" / "p000" / "1.png", tmp_path / "stroke" / "p003" / "1.png")
    report = find(with_splits(index(tmp_path, STROKE), {}))
    assert kinds(report) == {("identical", False, True)}
    assert (report.identical, report.inside, report.clashes, report.verdict) == (0, 1, 1, "fail")


def test_blank_pictures_are_no_leak(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 3, "stroke": 3}, files=3)
    for path in tmp_path.glob("*/*/1.png"):
        Image.new("L", (96, 96)).save(path)
    assert find(split(index(tmp_path, SERIES), SERIES)).pairs == ()


def test_series_neighbours_are_no_leak_and_a_copied_series_is(tmp_path: Path) -> None:
    for k in range(6):
        dicom_patient(tmp_path / ("normal" if k < 3 else "stroke") / f"p{k}", f"P{k}", slices=7, seed=k)
    cohort = index(tmp_path, SERIES)
    assert find(split(cohort, SERIES)).verdict == "pass"
    dicom_patient(tmp_path / "stroke" / "p9", "P9", slices=7, seed=0)
    report = find(with_splits(index(tmp_path, SERIES), {"p9": "test"}))
    assert {p.kind for p in report.pairs} == {"near", "study"}
    assert (report.near, report.studies) == (1, 1)


def test_unreadable_cases_are_counted(tmp_path: Path) -> None:
    by_patient(tmp_path, {"normal": 3, "stroke": 3}, files=1)
    cohort = split(index(tmp_path, STROKE), STROKE)
    (tmp_path / "normal" / "p000" / "1.png").write_bytes(b"gone")
    report = find(cohort)
    assert (report.skipped, report.verdict) == (1, "cannot tell")
    assert report.to_dict()["verdict"] == "cannot tell"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not (DATA / "stroke_ct").is_dir(), reason="the real scans for measuring are not here")
def test_no_two_real_heads_share_a_picture() -> None:
    report = find(index(DATA / "stroke_ct", STROKE))
    assert (report.pictures, report.pairs, report.groups) == (1885, (), ())


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (DATA / "brain_tumor_mri").is_dir(), reason="the real scans for measuring are not here")
def test_the_faults_of_a_public_set_are_found() -> None:
    classes = "targets.tumour.classes=[notumor,glioma,meningioma,pituitary]"
    recipe = recipes.load("brain-tumour", (classes, "targets.tumour.primary=glioma"))
    report = find(index(DATA / "brain_tumor_mri", recipe))
    assert report.identical_groups == 189
    assert report.near > 1000
    torn = {frozenset((p.first.split("/")[-1], p.second.split("/")[-1])) for p in report.pairs if p.clash}
    assert frozenset(("Te-me_0156.jpg", "Te-piTr_0002.jpg")) in torn
