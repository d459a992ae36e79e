"""Whom headers name, in any script."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serve.pacs.made_studies import slices

from insula.serve.faults import RequestError
from insula.serve.pacs.named import Named, families, named, written
from insula.serve.store.patients import LONGEST_KEY

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Ann^Dr^MD", "Doe, Jane Ann"),
        ("Doe", "Doe"),
        ("^Jane", "Jane"),
        ("", ""),
        ("^^", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("=山田^太郎", "山田, 太郎"),
        ("Doe^Ja\x1bne", "Doe, Jane"),
    ],
)
def test_a_name_is_written_as_people_write_it(name: str, shown: str) -> None:
    assert written(name) == shown


def put(folder: Path, objects: list[bytes]) -> list[Path]:
    paths = [folder / str(number) for number in range(len(objects))]
    for path, one in zip(paths, objects, strict=True):
        path.write_bytes(one)
    return paths


def test_one_patient_is_named_by_id_and_name(tmp_path: Path) -> None:
    objects = slices(patient="Ö-7", SpecificCharacterSet="ISO_IR 192", PatientName="Özgür^Ayşe")
    assert named(put(tmp_path, objects)) == Named("Ö-7", "Özgür, Ayşe", "", frozenset({"ozgur"}))


def test_objects_without_an_id_belong_to_the_one_who_has_one(tmp_path: Path) -> None:
    assert named(put(tmp_path, [*slices(patient=""), *slices(patient="P-1")])).id == "P-1"


def test_several_patients_are_refused_and_not_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="2 patients") as caught:
        named(put(tmp_path, [*slices(patient="P-1"), *slices(patient="P-2"), *slices(patient="")]))
    assert "P-1" not in str(caught.value)


def test_what_is_no_dicom_is_passed_over(tmp_path: Path) -> None:
    assert named(put(tmp_path, [b"no DICOM", *slices(patient="P-1")])).id == "P-1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE^JANE", "Doe^Jane^Ann"),
        ("Müller^Zoë", "MUELLER^Z"),
        ("Yılmaz^Ayşe", "YILMAZ^AYSE"),
        ("O'Brien^Pat", "OBrien^Pat"),
        ("Strauß^Ida", "STRAUSS"),
        ("Yamada^Tarou=山田^太郎", "=山田^太郎"),
    ],
)
def test_a_family_name_is_the_same_however_it_is_spelled(one: str, other: str) -> None:
    assert families(one) & families(other)
    assert families(one).isdisjoint(families("Roe^Richard"))
    assert families("^Jane") == families("") == frozenset()


def test_a_number_belongs_to_whoever_issued_it(tmp_path: Path) -> None:
    def key(issuer: str, patient: str = "4711") -> str:
        return named(put(tmp_path, slices(patient=patient, IssuerOfPatientID=issuer))).key

    assert (key("A"), key("B"), key("")) == ("4711 (A)", "4711 (B)", "4711")
    long = [key("Hospital of the Holy Ghost " + one, "9" * 60) for one in "AB"]
    assert len(set(long)) == 2
    assert {len(one) for one in long} == {LONGEST_KEY}
    assert key("A", "") == ""


def test_one_number_of_two_issuers_is_two_patients(tmp_path: Path) -> None:
    objects = [*slices(patient="7", IssuerOfPatientID="A"), *slices(patient="7", IssuerOfPatientID="B")]
    with pytest.raises(RequestError, match="2 patients"):
        named(put(tmp_path, objects))
    assert named(put(tmp_path, [*slices(patient="7"), *slices(patient="7", IssuerOfPatientID="B")])).key == "7 (B)"


def test_days_of_birth_are_told_where_they_are_days(tmp_path: Path) -> None:
    objects = [*slices(PatientBirthDate="19700131"), *slices(PatientBirthDate="")]
    assert named(put(tmp_path, objects)).born == {"19700131"}
