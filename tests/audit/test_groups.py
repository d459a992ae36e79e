from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from insula.audit import groups
from insula.audit.groups import Found
from insula.core.recipe_audit import Subgroups
from insula.core.types import Case, Scan


def cases(
    told: Sequence[Mapping[str, str]],
    patients: Sequence[str] | None = None,
    scans: Sequence[Mapping[str, str]] | None = None,
) -> list[Case]:
    owners = patients or [f"p{i:03}" for i in range(len(told))]
    of = scans or [{}] * len(told)
    return [
        Case(f"c{i}", owner, {"ct": Scan((f"{i}.dcm",), "dicom", attributes=scan)}, {}, dict(known))
        for i, (known, owner, scan) in enumerate(zip(told, owners, of, strict=True))
    ]


def find(made: list[Case], without: set[str] | None = None, measured: Any = None, **wanted: Any) -> Found:
    keys = sorted({case.patient for case in made})
    positive = np.arange(len(keys)) % 3 == 2
    return groups.find(made, keys, positive, Subgroups(**wanted), without or set(), measured or {})


def sizes(found: Found) -> dict[str, dict[str, int]]:
    return {c.name: {v: int((c.codes == i).sum()) for i, v in enumerate(c.values)} for c in found.columns}


def test_ages_fall_into_bands_however_they_are_written() -> None:
    found = find(cases([{"age": a} for a in ("17", "018Y", "39", "40", "075Y", "90", "018M", "", "sixty")]))
    assert sizes(found) == {"age": {"under 18": 2, "18-39": 2, "40-59": 1, "75 and over": 2, "not known": 2}}


def test_the_bands_are_those_of_the_recipe_and_none_where_it_has_none() -> None:
    made = cases([{"age": str(a)} for a in range(20, 80)])
    assert sizes(find(made, age=(50,))) == {"age": {"under 50": 30, "50 and over": 30}}
    assert sizes(find(made, age=())) == {}


def test_missing_values_are_a_group_and_spellings_are_one() -> None:
    found = find(
        cases([{"scanner": s} for s in ["Siemens"] * 6 + ["SIEMENS"] * 5 + ["GE"] * 5 + ["", "n/a", "Unknown"]])
    )
    assert sizes(found) == {"scanner": {"GE": 5, "Siemens": 11, "not known": 3}}


def test_a_patient_counts_once_and_is_several_where_the_cases_differ() -> None:
    made = cases(
        [
            {"sex": "F", "site": "A"},
            {"sex": "F", "site": "B"},
            {"sex": "", "site": "A"},
            {"sex": "M", "site": "A"},
            {"sex": "M", "site": "B"},
        ],
        ["p1", "p1", "p2", "p2", "p3"],
    )
    assert sizes(find(made, by=("sex", "site"))) == {"sex": {"F": 1, "M": 2}, "site": {"A": 1, "B": 1, "several": 1}}


def test_numbers_are_cut_at_their_thirds_and_few_different_ones_are_not() -> None:
    made = cases([{"kvp": str(100 + 20 * (i % 3)), "dose": f"{i}"} for i in range(30)])
    found = sizes(find(made))
    assert found["kvp"] == {"100": 10, "120": 10, "140": 10}
    assert list(found["dose"].values()) == [10, 10, 10]
    assert next(iter(found["dose"])).startswith("up to")


def test_free_text_is_left_out_and_said_unless_it_is_asked_for() -> None:
    made = cases([{"remark": f"patient number {i}", "sex": "FM"[i % 2]} for i in range(40)])
    found = find(made)
    assert list(sizes(found)) == ["sex"]
    assert any("remark" in note for note in found.notes)
    assert list(sizes(find(made, by=("remark",)))) == ["remark"]


def test_rare_values_of_a_column_are_taken_together() -> None:
    made = cases([{"site": f"s{i % 20:02}"} for i in range(120)])
    found = sizes(find(made))["site"]
    assert len(found) == 13
    assert found["other values"] == 48


def test_ids_and_answers_are_never_groups() -> None:
    told = [
        {"patient_id": f"{i % 4}", "study_uid": f"{i % 3}", "stroke": f"{i % 2}", "sex": "FM"[i % 2]} for i in range(30)
    ]
    assert list(sizes(find(cases(told), {"stroke"}))) == ["sex"]
    asked = find(cases(told), {"stroke"}, by=("stroke", "patient_id"))
    assert asked.columns == ()
    assert "stroke, patient_id" in asked.notes[0]


def test_a_column_that_is_the_answer_in_other_words_is_left_out() -> None:
    made = cases([{"finding": "bleed" if i % 3 == 2 else "clear", "sex": "FM"[i % 2]} for i in range(30)])
    found = find(made)
    assert list(sizes(found)) == ["sex"]
    assert any("finding" in note for note in found.notes)


def test_columns_that_divide_alike_count_once() -> None:
    made = cases([{"site": "AB"[i % 2], "coil": ("x", "y")[i % 2]} for i in range(30)], scans=[{}] * 30)
    found = find(made)
    assert list(sizes(found)) == ["site"]
    assert "coil divides the patients as site does." in found.notes


def test_attributes_of_the_scan_make_groups_and_are_found_by_either_name() -> None:
    made = cases([{}] * 30, scans=[{"kernel": ("H30", "FC21")[i % 2], "slice_thickness": "5"} for i in range(30)])
    assert sizes(find(made)) == {"ct.kernel": {"FC21": 15, "H30": 15}}
    for name in ("kernel", "ct.kernel"):
        assert list(sizes(find(made, by=(name,)))) == ["ct.kernel"]


def test_a_column_that_no_case_carries_is_told() -> None:
    assert find(cases([{"sex": "F"}, {"sex": "M"}]), by=("sex", "race")).absent == ("race",)


def test_measured_numbers_are_averaged_over_a_patient() -> None:
    owners = [f"p{i // 2:03}" for i in range(60)]
    noise = np.array([float(i // 2) + (3 if i % 2 else -3) for i in range(60)])
    noise[[0, 2, 3]] = np.nan
    found = sizes(find(cases([{}] * 60, owners), measured={"noise": noise}))["noise"]
    assert list(found.values()) == [10, 9, 10, 1]
    assert list(found)[-1] == "not known"
    assert "noise" not in sizes(find(cases([{}] * 60, owners), measured={"noise": noise}, by=("sex",)))


def test_pairs_are_groups_of_two_columns_without_the_unknown() -> None:
    told = [{"sex": ("F", "M", "")[i % 3], "site": "AB"[i % 2], "coil": "xyz"[i % 5 % 3]} for i in range(60)]
    found = find(cases(told))
    names = {group.name: int(group.member.sum()) for group in groups.pairs(found.columns, Subgroups())}
    assert names == {f"sex={s} & site={t}": 10 for s in "FM" for t in "AB"}
    asked = groups.pairs(found.columns, Subgroups(by=("sex", "coil")))
    assert any("coil" in group.name for group in asked)


def test_a_pair_that_is_one_group_again_is_left_out() -> None:
    told = [{"sex": "FM"[i % 2], "site": ("A" if i % 2 else "BC"[i % 4 // 2])} for i in range(40)]
    found = find(cases(told))
    assert groups.pairs(found.columns, Subgroups()) == []


@pytest.mark.parametrize("kind", ["F/M", "M"])
def test_a_slash_in_a_value_does_not_divide_the_name_of_a_finding(kind: str) -> None:
    found = find(cases([{"sex": kind if i % 2 else "F"} for i in range(20)]))
    assert all("/" not in group.name for group in groups.singles(found.columns))
