from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from insula.cohort.index import survey_cohort
from insula.cohort.join import join, same, with_role
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.table import load, save
from insula.core import recipe as recipes
from insula.core.errors import CohortError, SplitError
from insula.core.types import Case, Cohort, Scan, Split

BOTH = recipes.parse(
    {
        "name": "both",
        "question": "Is the tumour malignant?",
        "inputs": {
            "ct": {"modality": "CT", "prep": [{"resize": 64}]},
            "mri": {"modality": "MR", "prep": [{"resize": 64}]},
        },
        "targets": {
            "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "benign"}
        },
        "model": {"encoder": "simple_cnn"},
    },
    "both",
)


def case(
    patient: str,
    role: str,
    path: str,
    label: str = "a",
    split: Split = "",
    mask: str = "",
    **attributes: str,
) -> Case:
    scan = Scan((path,), "nifti", mask=mask)
    labels = {"t": (label,)} if label else {}
    return Case(f"{patient}/{path}", patient, {role: scan}, labels, attributes, split)


def cohort(*cases: Case, root: str = "/data/x") -> Cohort:
    split = any(c.split for c in cases)
    return Cohort(cases, root, "patient" if split else "", True)


def test_two_tables_give_one_case_of_both_roles_and_a_lacking_role_is_left_out() -> None:
    ct = cohort(case("p1", "ct", "a.nii", mask="m/a.nii"), case("p2", "ct", "b.nii"), root="/data/ct/one")
    mri = cohort(case("p1", "mri", "a.nii"), case("p3", "mri", "c.nii"), root="/data/mri")
    made = join([ct, mri])
    assert made.cohort.root == "/data"
    first, second, third = made.cohort.cases
    assert (first.key, first.patient) == ("p1", "p1")
    assert first.scans["ct"].paths == ("ct/one/a.nii",)
    assert first.scans["ct"].mask == "ct/one/m/a.nii"
    assert first.scans["mri"].paths == ("mri/a.nii",)
    assert first.scans["mri"].mask == ""
    assert list(second.scans) == ["ct"]
    assert list(third.scans) == ["mri"]
    assert (made.roles, made.complete, made.several, made.twice) == ({"ct": 2, "mri": 2}, 1, 0, 0)


def test_several_scans_of_a_role_are_a_bag_in_the_tables_order() -> None:
    slides = [case("p", "slide", f"s{k}.tif") for k in (3, 1, 2)]
    made = join([cohort(*slides)])
    (one,) = made.cohort.cases
    assert list(one.scans) == ["slide", "slide.2", "slide.3"]
    assert [scan.paths[0] for scan in one.scans_of("slide")] == ["s3.tif", "s1.tif", "s2.tif"]
    assert (made.several, made.cohort.root) == (1, "/data/x")


def test_joining_again_changes_nothing_and_a_scan_met_twice_is_kept_once() -> None:
    once = join([cohort(case("p", "slide", "1.tif"), case("p", "slide", "2.tif"), case("q", "slide", "3.tif"))])
    assert join([once.cohort]).cohort == once.cohort
    again = join([once.cohort, once.cohort])
    assert again.cohort == once.cohort
    assert again.twice == 3


def test_a_label_clash_names_the_patient_and_a_missing_label_is_taken_from_the_other_table() -> None:
    with pytest.raises(CohortError, match=r"'p7' is labelled 'a' and 'b' for t"):
        join([cohort(case("p7", "ct", "1")), cohort(case("p7", "mri", "2", "b"))])
    made = join([cohort(case("p", "ct", "1", "")), cohort(case("p", "mri", "2", "b"))])
    assert made.cohort.cases[0].labels == {"t": ("b",)}
    several = replace(case("p", "ct", "1"), labels={"t": ("a", "b")})
    turned = replace(case("p", "mri", "2"), labels={"t": ("b", "a")})
    assert join([cohort(several), cohort(turned)]).cohort.cases[0].labels == {"t": ("a", "b")}


def test_attributes_are_merged_and_one_that_may_not_differ_is_refused_by_name() -> None:
    made = join(
        [cohort(case("p", "ct", "1", age="063Y", stage="II")), cohort(case("p", "mri", "2", age="63", days="9"))]
    )
    assert made.cohort.cases[0].attributes == {"age": "063Y", "stage": "II", "days": "9"}
    with pytest.raises(CohortError, match=r"'p' has 'II' and 'III' as stage.*--of-scan stage"):
        join([cohort(case("p", "ct", "1", stage="II")), cohort(case("p", "mri", "2", stage="III"))])


def test_what_differs_by_scan_stays_with_the_scan() -> None:
    ct = cohort(case("p", "ct", "1", scanner="A", image_num="0"), case("p", "ct", "2", scanner="A", image_num="1"))
    mri = cohort(case("p", "mri", "3", scanner="B"))
    with pytest.raises(CohortError, match="image_num"):
        join([ct, mri])
    made = join([ct, mri], ["image_num"])
    (one,) = made.cohort.cases
    assert made.of_scans == ("image_num", "scanner")
    assert one.attributes == {"scanner_ct": "A", "scanner_mri": "B"}
    assert [dict(s.attributes) for s in one.scans_of("ct")] == [
        {"scanner": "A", "image_num": "0"},
        {"scanner": "A", "image_num": "1"},
    ]
    assert dict(one.scans["mri"].attributes) == {"scanner": "B"}


def test_a_split_is_kept_when_all_agree() -> None:
    made = join([cohort(case("p", "ct", "1", split="test")), cohort(case("p", "mri", "2"), case("q", "mri", "3"))])
    assert [c.split for c in made.cohort.cases] == ["test", ""]
    assert (made.cohort.split_level, made.unsplit) == ("patient", 1)
    with pytest.raises(SplitError, match="'p' stands in the splits test and train"):
        join([cohort(case("p", "ct", "1", split="train")), cohort(case("p", "mri", "2", split="test"))])
    assert join([cohort(case("p", "ct", "1"))]).cohort.split_level == ""


def test_tables_that_name_no_patients_or_hold_nothing_are_refused() -> None:
    with pytest.raises(CohortError, match="names no patients"):
        join([replace(cohort(case("p", "ct", "1")), patient_ids=False)])
    with pytest.raises(CohortError, match="no cases"):
        join([cohort()])


def test_a_role_can_have_another_name() -> None:
    made = with_role(join([cohort(case("p", "slide", "1"), case("p", "slide", "2"))]).cohort, "clot")
    assert list(made.cases[0].scans) == ["clot", "clot.2"]
    mixed = join([cohort(case("p", "ct", "1")), cohort(case("p", "mri", "2"))]).cohort
    with pytest.raises(CohortError, match="roles ct, mri"):
        with_role(mixed, "x")


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("63", "063Y", True),
        ("1", "1.0", True),
        ("18M", "1.5", True),
        ("018M", "1.6", False),
        ("II", "2", False),
        ("a", "a ", True),
        ("", "0", False),
    ],
)
def test_cells_are_the_same_when_their_numbers_are(first: str, second: str, equal: bool) -> None:
    assert same(first, second) is equal


def test_phantoms_scanned_twice_become_cases_of_both_roles(tmp_path: Path) -> None:
    folder = make("brain-tumour", tmp_path / "ph", 8, 0, 64, 8, options=Options(modality="both", lacking=0.5))
    indexed = {role: survey_cohort(folder, BOTH.only(role)) for role in ("ct", "mri")}
    for role, found in indexed.items():
        for one in found.cohort.cases:
            (scan,) = one.scans.values()
            assert list(one.scans) == [role]
            assert scan.format == {"ct": "dicom", "mri": "nifti"}[role]
            assert "role" not in one.attributes
    assert {a.reason for a in indexed["ct"].aside} == {"its row in the table is of the role mri; indexed is ct"}
    made = join([found.cohort for found in indexed.values()])
    patients = {role: {c.patient for c in found.cohort.cases} for role, found in indexed.items()}
    assert made.complete == len(patients["ct"] & patients["mri"])
    assert 0 < made.complete < len(made.cohort.cases) == 8
    for one in made.cohort.cases:
        assert set(one.scans) == {role for role in patients if one.patient in patients[role]}
        assert all((folder / p).is_file() for scan in one.scans.values() for p in scan.paths)
        assert ("stage" in one.attributes) == (one.labels["tumour"] != ("healthy",))
    save(made.cohort, tmp_path / "joined.parquet")
    assert load(tmp_path / "joined.parquet") == made.cohort
