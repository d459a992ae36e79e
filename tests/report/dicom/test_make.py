"""Which objects there are, and that the same answer gives the same ones."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydicom.uid import UID
from tests.report.case.made_case import AT, case, rejected
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import NAME, STUDY, headers, picture, plane, result, reviewed

from insula.core.errors import MissingPartError, UsageError
from insula.report.dicom.make import make
from insula.report.dicom.result import Heat, Made, Object, Result, SourceSeries

KINDS = get_args(Object)


def made(given: Result, *kinds: Object) -> tuple[Made, ...]:
    return tuple(make(given, kinds or KINDS))


def test_an_answer_gives_all_kinds_and_only_those_asked_for(tmp_path: Path) -> None:
    assert Counter(one.kind for one in made(result(tmp_path))) == {
        "report": 1, "pdf": 1, "capture": 2, "map": 1, "region": 1
    }  # fmt: skip
    assert [one.kind for one in made(result(tmp_path), "map", "report")] == ["report", "map"]


def test_all_stand_in_the_study_and_say_that_they_are_for_research(tmp_path: Path) -> None:
    found = [read_back(one.dataset) for one in made(result(tmp_path))]

    for one in found:
        assert one.StudyInstanceUID == STUDY
        assert (str(one.PatientName), one.PatientID, one.AccessionNumber) == (NAME, "İ-0042", "A-17")
        assert (one.PatientBirthDate, one.PatientSex, one.StudyDate) == ("19510203", "F", "20261125")
        assert one.SeriesDescription.endswith("(research use only)")
        assert len(one.SeriesDescription) <= 64
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert (one.Manufacturer, one.ManufacturerModelName) == ("Insula", "haemorrhage-ct")
        assert one.InstanceCreationDate + one.InstanceCreationTime == "20261126170309"  # 14:03:09 UTC, three hours on
        assert one.SeriesNumber > 90_000
    assert len({one.SOPInstanceUID for one in found}) == len(found)
    assert len({one.SeriesInstanceUID for one in found}) == len(KINDS)


def test_a_rejected_case_gives_no_picture_and_no_map(tmp_path: Path) -> None:
    assert [one.kind for one in made(result(tmp_path, report=rejected()))] == ["report", "pdf"]


def test_what_is_not_there_gives_no_object(tmp_path: Path) -> None:
    assert [one.kind for one in made(result(tmp_path, heat=(), pdf=None))] == ["report"]
    of_another = Heat("mri", "any", plane, 1.0, True)
    assert [one.kind for one in made(result(tmp_path, heat=(of_another,), pdf=None))] == ["report"]
    placeless = SourceSeries("ct", headers(tmp_path, FrameOfReferenceUID=None), picture, (2,))
    assert [one.kind for one in made(result(tmp_path, series=(placeless,), pdf=None))] == ["report", "capture"]


def test_the_same_answer_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = ([_bytes(one) for one in made(result(tmp_path))] for _ in range(2))

    assert first == again


def test_a_review_gives_new_reports_and_no_second_set_of_pictures(tmp_path: Path) -> None:
    before = {one.kind: _name(one) for one in made(result(tmp_path))}
    after = {one.kind: _name(one) for one in made(result(tmp_path, report=case(review=reviewed()), review_id="r1"))}

    assert {kind for kind in KINDS if before[kind] != after[kind]} == {"report", "pdf"}


def test_another_answer_gives_other_objects(tmp_path: Path) -> None:
    before = {_name(one) for one in made(result(tmp_path))}

    assert before.isdisjoint(_name(one) for one in made(result(tmp_path, id="another")))


def test_headers_without_a_time_zone_get_the_times_of_this_machine(tmp_path: Path) -> None:
    series = SourceSeries("ct", headers(tmp_path, TimezoneOffsetFromUTC=None), picture)

    (one,) = made(result(tmp_path, series=(series,)), "report")

    assert one.dataset.InstanceCreationTime == f"{AT.astimezone():%H%M%S}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"series": ()}, "without headers"), ({"series": (SourceSeries("ct", ()),)}, "without headers")],
)
def test_a_result_without_headers_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(result(tmp_path, **changes), KINDS)


def test_a_slice_that_is_not_there_is_refused(tmp_path: Path) -> None:
    given = result(tmp_path)
    series = replace(given.series[0], captured=(5,))

    with pytest.raises(UsageError, match="has 5 slices"):
        make(replace(given, series=(series,)), KINDS)


def test_without_the_part_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = result(tmp_path)
    monkeypatch.setitem(sys.modules, "highdicom", None)

    with pytest.raises(MissingPartError, match=r"insula\[pacs\]"):
        make(given, KINDS)


def _bytes(one: Made) -> bytes:
    import io

    stream = io.BytesIO()
    one.dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _name(one: Made) -> UID:
    return UID(one.dataset.SOPInstanceUID)
