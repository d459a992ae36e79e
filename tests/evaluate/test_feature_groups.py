"""Which rows are judged, and what they are grouped by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from tests.infer.made_store import make

from insula.evaluate import feature_groups as groups
from insula.evaluate.feature_groups import Grouping


def test_rows_that_the_network_was_fitted_to_are_left_out(tmp_path: Path) -> None:
    store = make(tmp_path / "s", seen=["yes", "no"] * 40)
    rows, said = groups.chosen_rows(store, 2000, 0)
    assert rows.tolist() == list(range(1, 80, 2))
    assert said == "The network was fitted to 40 of 80 cases; the figures leave them out."


def test_where_patients_are_not_known_the_split_tells(tmp_path: Path) -> None:
    splits = ["train"] * 30 + ["val"] * 10 + ["test"] * 40
    store = make(tmp_path / "s", seen="unknown", more={"split": splits})
    assert groups.chosen_rows(store, 2000, 0)[0].tolist() == list(range(40, 80))


def test_a_store_of_training_cases_is_judged_and_said_to_be_optimistic(tmp_path: Path) -> None:
    rows, said = groups.chosen_rows(make(tmp_path / "s", seen="yes"), 2000, 0)
    assert len(rows) == 80
    assert "optimistic" in said


def test_many_rows_are_drawn_evenly_over_patients() -> None:
    patients = ["big"] * 90 + [f"p{i}" for i in range(10)]
    kept = groups.evenly(patients, 20, 0)
    counted = Counter(patients[i] for i in kept)
    assert counted["big"] == 10
    assert len(counted) == 11
    assert (np.diff(kept) > 0).all()
    assert groups.evenly(patients, 20, 0).tolist() == kept.tolist()


def test_labels_as_groups(tmp_path: Path) -> None:
    one = groups.of_label(make(tmp_path / "a", more={"label": ["stroke", "", "normal", "normal"] * 20}))
    assert one.values == ("normal", "stroke")
    assert one.codes[:4].tolist() == [1, -1, 0, 0]
    both = groups.of_label(make(tmp_path / "b", kind="multilabel"))
    assert both.values == ("no stroke", "stroke")
    assert both.codes[:4].tolist() == [0, 0, 1, 1]


def test_other_columns_as_groups(tmp_path: Path) -> None:
    n = 80
    columns: dict[str, list[str]] = {
        "attribute.maker": ["Acme", "Acme", "Birch", "Birch"] * 20,
        "attribute.id": [f"x{i}" for i in range(n)],
        "attribute.rare": ["odd"] * 4 + ["usual"] * 38 + ["other"] * 38,
        "attribute.lone": ["odd"] * 4 + ["usual"] * 76,
        "attribute.empty": [""] * n,
    }
    store = make(tmp_path / "s", more=columns)
    found, why = groups.of_others(store, np.arange(n))
    by_name = {one.name: one for one in found}
    assert set(by_name) == {"scanner", "age", "maker", "rare"}
    assert by_name["age"].values == ("up to 33", "up to 46", "above 46")
    assert Counter(by_name["age"].codes.tolist()).keys() == {0, 1, 2}
    assert (by_name["rare"].values, by_name["rare"].left_out) == (("other", "usual"), 1)
    assert (by_name["rare"].codes[:4] == -1).all()
    assert why["note"] == "one value only"
    assert why["id"] == "80 values"
    assert why["empty"] == "empty"
    assert "5 patients" in why["lone"]


def test_columns_that_group_alike_are_one(tmp_path: Path) -> None:
    scanners = make(tmp_path / "a").index["attribute.scanner"]
    site = ["north" if s == "BR" else "a south" for s in scanners]
    found, _ = groups.of_others(make(tmp_path / "b", more={"attribute.site": site}), np.arange(80))
    assert [one.name for one in found if "scanner" in one.name] == ["scanner, site"]


def test_values_of_few_patients_are_left_out() -> None:
    owners = np.array(["a"] * 20 + [f"p{i}" for i in range(12)])
    one = Grouping("x", ("one patient", "six", "six more"), np.array([0] * 20 + [1] * 6 + [2] * 6))
    kept = groups.enough(one, owners)
    assert kept is not None
    assert kept.values == ("six", "six more")
    assert kept.codes.tolist() == [-1] * 20 + [0] * 6 + [1] * 6
    assert groups.enough(one, np.array(["a"] * 32)) is None


def test_an_age_as_dicom_writes_it_is_a_number() -> None:
    assert groups.number("063Y") == 63.0
    assert np.isnan(groups.number("sixty"))
