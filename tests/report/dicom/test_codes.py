"""Terms: those of the standards are what the standards call them, and those of the program fit their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydicom.sr._concepts_dict as known
import pytest
from pydicom.sr.coding import Code

from insula.core import recipe as recipes
from insula.report.dicom import codes

NOT_IN_PYDICOM = {
    "C0034375",  # TID 1500's own
    "21454007", "35486000", "422504002", "428061005",  # disorders of SNOMED CT that no context group of DICOM names
}  # fmt: skip


def test_terms_of_the_standards_are_known_under_their_meaning() -> None:
    concepts: dict[str, Any] = known.concepts
    said = {
        (scheme, code, meaning)
        for scheme, names in concepts.items()
        for entries in names.values()
        for code, (meaning, _) in entries.items()
    }

    for one in _all():
        if one.scheme_designator != codes.SCHEME and one.value not in NOT_IN_PYDICOM:
            term = (one.scheme_designator, one.value)
            meanings = {meaning for scheme, code, meaning in said if (scheme, code) == term}
            assert {one.meaning, f"{one.meaning} (disorder)"} & meanings or (one is codes.STUDY_REPORT and meanings), (
                one
            )


def test_terms_of_the_program_fit_and_are_told_apart() -> None:
    own = [one for one in _all() if one.scheme_designator == codes.SCHEME]

    assert all(1 <= len(one.value) <= 16 and len(one.meaning) <= 64 for one in own)
    assert len({one.value for one in own}) == len(own)


@pytest.mark.parametrize("name", ["any", "no finding", "intraparenchymal", "kanama", "出血", "", "x" * 200, "a\\b"])
def test_a_class_gives_a_term_that_fits(name: str) -> None:
    one = codes.finding(name)

    assert one.scheme_designator == codes.SCHEME
    assert 1 <= len(one.value) <= 16
    assert 1 <= len(one.meaning) <= 64
    assert one == codes.finding(name)


def test_classes_whose_names_are_alike_are_told_apart() -> None:
    names = ("a b", "a-b", "intraparenchymal", "intraparenchymal bleeding", "出血", "出血2", "haemorrhagic stroke")

    assert len({codes.finding(name).value for name in names}) == len(names)


def test_a_name_that_is_a_term_of_snomed_is_that_term() -> None:
    assert codes.finding("Haemorrhage") == codes.finding("hemorrhage") == Code("50960005", "SCT", "Hemorrhage")
    assert codes.finding("Subdural hemorrhage") == Code("35486000", "SCT", "Subdural intracranial hemorrhage")
    assert codes.finding("edema") == codes.finding("oedema") == Code("79654002", "SCT", "Edema")
    assert codes.finding("no intracranial haemorrhage").scheme_designator == codes.SCHEME


@pytest.mark.parametrize("name", recipes.names())
def test_words_of_the_recipes_have_a_term_each(name: str) -> None:
    target = recipes.load(name).target
    assert len({codes.finding(target.say(one)) for one in target.classes}) == len(target.classes)


def test_the_head_is_named_where_the_headers_say_so() -> None:
    assert [codes.procedure(one, "HEAD").meaning for one in ("CT", "MR", "PT", "SM")] == [
        "Head CT", "Brain MRI", "Brain PET", "Imaging procedure"
    ]  # fmt: skip
    assert (
        codes.procedure("CT", "CHEST") == codes.procedure("CT") == Code("25045-6", "LN", "CT unspecified body region")
    )


def test_an_unknown_verdict_and_part_still_have_a_term() -> None:
    assert codes.verdict("postponed").meaning == "postponed"
    assert codes.region("ELBOW").meaning == "Anatomical Structure"
    assert codes.procedure("XA") == codes.IMAGING


def _all() -> Iterator[Code]:
    for one in vars(codes).values():
        if isinstance(one, Code):
            yield one
        elif isinstance(one, dict):
            yield from (each for each in one.values() if isinstance(each, Code))
