"""A store looked at as a whole: what is found in made embeddings, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.infer.made_store import make

from insula.core.errors import EvaluationError
from insula.evaluate.features import Asked, look

QUICK = Asked(maps=("pca",), replicates=200, shuffles=99)


def test_a_scanner_that_is_told_apart_as_well_as_the_class_is_said_so(tmp_path: Path) -> None:
    found = look(make(tmp_path / "s", apart=2.0, scanner=3.0), QUICK)
    assert [one.name for one in found.separated] == ["class", "scanner", "age"]
    warned = [text for text, warn in zip(found.findings, found.warn, strict=True) if warn]
    assert found.findings[0].startswith("The embedding tells the classes apart")
    assert len(warned) == 1
    assert "'scanner' apart as well as the class" in warned[0]
    assert "among cases of one class too" in warned[0]


def test_a_scanner_that_goes_along_with_the_class_is_said_to(tmp_path: Path) -> None:
    scanner = [("AX", "BR")[(i // 2) % 2 if i % 20 > 1 else 0] for i in range(80)]
    found = look(make(tmp_path / "s", apart=3.0, more={"attribute.scanner": scanner}), QUICK)
    text = next(text for text in found.findings if "scanner" in text)
    assert "may merely go along with the class" in text


def test_without_a_difference_nothing_is_claimed(tmp_path: Path) -> None:
    found = look(make(tmp_path / "s", apart=0.0, seed=4), QUICK)
    assert found.findings[0].startswith("That the embedding tells the classes apart is not shown")
    assert found.warn == (True,)


def test_plain_values_are_json(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    data = json.loads(json.dumps(look(store, QUICK).to_dict(), allow_nan=False))
    assert (data["cases"], data["shown"], data["judged"]) == (80, 80, 80)
    assert data["separability"][0]["probe"]["auc"]["interval"][0] < data["separability"][0]["probe"]["auc"]["value"]
    assert data["without_figures"] == {"note": "one value only"}
    assert len(data["outliers"]) == 24
    assert data["outliers"][0]["case"] in store.index["case"]


def test_labels_that_nobody_has_and_stores_that_are_too_small(tmp_path: Path) -> None:
    found = look(make(tmp_path / "s", more={"label": [""] * 80}), QUICK)
    assert found.findings == ()
    assert "class" in found.why
    assert {one.name for one in found.separated} == {"scanner", "age"}
    assert all(one.within is None for one in found.separated)
    with pytest.raises(EvaluationError, match="at least 3"):
        look(make(tmp_path / "t", patients=2, each=1), QUICK)


def test_no_more_points_than_asked_for(tmp_path: Path) -> None:
    found = look(make(tmp_path / "s"), Asked(maps=("pca",), most=30, judged=40, replicates=50, shuffles=19))
    assert len(found.rows) == len(found.planes[0].places) == len(found.outlying.order) == 30
    assert found.judged == 40
    assert "40 of the 80 cases were drawn" in found.said
    again = look(make(tmp_path / "t"), Asked(maps=("pca",), most=30, judged=40, replicates=50, shuffles=19))
    assert np.array_equal(again.planes[0].places, found.planes[0].places)
    assert again.to_dict() == found.to_dict()
