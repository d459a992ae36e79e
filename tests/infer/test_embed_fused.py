"""Cases of several roles, some of which lack one, with answers to further targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.export.made_cohort import cohort, run

from insula.bundle.load import load
from insula.evaluate.features import Asked, look
from insula.export.finish import finish
from insula.infer import feature_store as stores
from insula.infer.embed import embed
from insula.infer.predict import Predictor
from insula.report.features_page import render

pytestmark = [pytest.mark.train, pytest.mark.slow]


def test_roles_that_are_missing_and_further_targets(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    finish(run(tmp_path, table), table, tmp_path / "bundle")
    predictor = Predictor(load(tmp_path / "bundle"), threads=1)
    done = embed(predictor, table, ["val"], tmp_path / "store")
    store, cases = stores.load(tmp_path / "store"), table.of_split("val")
    assert (done.rows, done.failed) == (len(cases), 0)
    recipe = predictor.bundle.recipe
    assert {f"label.{name}" for name in recipe.further} <= set(store.attributes)
    hidden = {t.column for t in recipe.targets.values()} | {t.time for t in recipe.targets.values()}
    assert not {f"attribute.{name}" for name in hidden if name} & set(store.index)
    for row, case in enumerate(cases):
        found = predictor.case(case, Path(table.root))
        assert np.array_equal(store.embeddings[row], found.embedding)
        assert store.index["shown_scan"][row].partition(".")[0] in case.scans
        assert store.thumbnail(row)
    assert "<canvas" in render(look(store, Asked(maps=("pca",), replicates=20, shuffles=9)))
