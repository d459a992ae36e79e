"""The cases most alike, with what is known of them, and how often their label stands in the whole store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.infer.made_store import make

from insula.infer.similar_cases import alike, ready


def test_the_case_itself_comes_first_and_its_patient_can_be_left_out(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    found = alike(ready(store), store.embeddings[6], 5)
    first = found.cases[0]
    assert (first.case, first.patient, first.same) == ("c006", "p003", True)
    assert first.label == store.index["label"][6]
    assert first.probability == float(store.index["p_stroke"][6])
    assert not any(one.same for one in found.cases[1:])
    others = alike(ready(store), store.embeddings[6], 5, not_patient="p003")
    assert "p003" not in {one.patient for one in others.cases}
    assert others.searched == found.searched - 2
    assert len(others.cases) == 5


def test_a_rejected_case_is_found_without_a_probability(tmp_path: Path) -> None:
    store = make(tmp_path / "s", rejected=(6,))
    found = alike(ready(store), store.embeddings[6], 5)
    first = found.cases[0]
    assert (first.case, first.action, first.predicted, first.probability) == ("c006", "reject", "", None)
    assert found.to_dict()["cases"][0]["probability"] is None
    assert all(one.probability is not None for one in found.cases[1:])


def test_one_split_is_searched_alone(tmp_path: Path) -> None:
    splits = ["train", "val"] * 40
    store = make(tmp_path / "s", more={"split": splits})
    found = alike(ready(store), store.embeddings[0], 10, splits=["val"])
    assert {one.split for one in found.cases} == {"val"}
    assert found.searched == 40
    assert alike(ready(store), store.embeddings[0], 10, splits=["other"]).cases == ()


def test_the_share_of_the_label_here_stands_beside_that_of_all(tmp_path: Path) -> None:
    store = make(tmp_path / "s", apart=8.0)
    found = alike(ready(store), store.embeddings[2], 10)
    assert found.labels == {"stroke": 10}
    assert found.labels_of_all == {"normal": 40, "stroke": 40}
    assert found.told.startswith("10 of the 10 labelled cases here are 'stroke'; of all 80")
    assert "50% are" in found.told
    data = found.to_dict()
    assert [row["case"] for row in data["cases"]] == [one.case for one in found.cases]
    assert isinstance(data["cases"][0]["same"], bool)


def test_of_labels_that_stand_together_the_primary_one_counts(tmp_path: Path) -> None:
    store = make(tmp_path / "s", apart=8.0, kind="multilabel")
    found = alike(ready(store), store.embeddings[2], 10)
    assert found.labels == {"stroke": 10}
    assert found.labels_of_all == {"no stroke": 40, "stroke": 40}
    without = make(tmp_path / "t", more={"label": [""] * 80})
    assert alike(ready(without), np.asarray(without.embeddings[0])).told == "None of these cases has a label."
