"""From cases and caches to batches."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.train import made_patients

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.core.types import Case, Scan
from insula.prep.cache import Prepared
from insula.train.data import Collate, Sample, SliceDataset, check_classes, labels, samples, stack

pytestmark = pytest.mark.train
SLICES = np.arange(7 * 4, dtype=np.float32).reshape(7, 1, 2, 2)
ONE = {"ct": Prepared(SLICES, {"a": (0, 5), "b": (5, 2)}, {"c": "bad"})}
MADE = made_patients.recipe()
COHORT = made_patients.cohort()
CACHES = made_patients.prepared(COHORT)


def cases(target: str, label: str) -> list[Case]:
    scan = {"ct": Scan(("x",), "npy")}
    given: tuple[dict[str, tuple[str, ...]], ...] = ({target: (label,)}, {target: ()}, {target: ()}, {})
    return [Case(k, k, scan, found) for k, found in zip("abcd", given, strict=True)]


def series() -> list[Sample]:
    return samples(cases("haemorrhage", "any"), ONE, recipes.load("haemorrhage-ct"))


def patients() -> list[Sample]:
    return samples(COHORT.cases, CACHES, MADE)


def test_a_series_is_one_sample_and_an_image_unit_one_a_slice() -> None:
    assert [(s.places["ct"], s.y["haemorrhage"][0]) for s in series() if s.y["haemorrhage"]] == [
        (((0, 5),), 1.0),
        (((5, 2),), 0.0),
    ]
    images = samples(cases("stroke", "stroke")[:1], ONE, recipes.load("stroke-ct"))
    assert [s.places for s in images] == [{"ct": ((i, 1),)} for i in range(5)]
    assert {s.patient for s in images} == {"a"}


def test_images_of_several_series_are_all_taken() -> None:
    two = replace(cases("stroke", "stroke")[0], scans={"ct": Scan(("x",), "npy"), "ct.2": Scan(("y",), "npy")})
    cache = {"ct": Prepared(SLICES, {"a": (0, 3), "a#2": (5, 2)}, {})}
    found = samples([two], cache, recipes.load("stroke-ct"))
    assert [s.places["ct"] for s in found] == [((i, 1),) for i in (0, 1, 2, 5, 6)]


def test_a_patient_keeps_each_series_apart_and_roles_may_be_missing() -> None:
    rows = patients()
    assert len(rows) == 12
    assert [len(r.places["t1"]) for r in rows[:4]] == [2, 1, 1, 2]
    assert [len(r.places["t2"]) for r in rows[:4]] == [1, 1, 1, 0]
    first = COHORT.cases[0]
    assert rows[0].places["t1"] == (CACHES["t1"].places[first.key], CACHES["t1"].places[f"{first.key}#2"])


def test_clinical_columns_and_labels_may_be_missing_one_by_one() -> None:
    rows = patients()
    assert [math.isnan(r.clinical[0]) for r in rows[:6]] == [False] * 4 + [True, False]
    assert rows[4].clinical[1:] == (1.0, 0.0)
    assert rows[5].clinical[1:] == (0.0, 1.0)
    assert rows[5].y["volume"] is None
    assert rows[6].y["death"] is None
    y, known = labels(rows, MADE)
    assert known["volume"].tolist() == [float(i % 6 != 5) for i in range(12)]
    assert known["death"].tolist() == [float(i % 7 != 6) for i in range(12)]
    assert {name: tuple(v.shape) for name, v in y.items()} == {"tumour": (12, 3), "death": (12, 2), "volume": (12, 1)}
    assert float(y["volume"][0, 0]) == pytest.approx(float(COHORT.cases[0].attributes["ml"]))


def test_a_case_counts_while_it_has_one_label_and_one_scan() -> None:
    bare = replace(COHORT.cases[0], labels={}, attributes={})
    assert samples([bare], CACHES, MADE) == []
    told = samples([replace(bare, attributes={"ml": "3"})], CACHES, MADE)
    assert told[0].y == {"tumour": None, "death": None, "volume": (3.0,)}
    assert np.isnan(told[0].clinical).all()
    assert samples([replace(COHORT.cases[0], key="other")], CACHES, MADE) == []


def test_collate_pads_under_a_mask() -> None:
    batch = Collate(recipes.load("haemorrhage-ct"), ONE)([SliceDataset(series(), ONE)[i] for i in range(2)])
    assert batch.x["ct"].shape == (2, 5, 1, 2, 2)
    assert batch.mask["ct"].sum(2).tolist() == [[5.0], [2.0]]
    assert torch.equal(batch.x["ct"][1, :2].flatten(), torch.arange(20.0, 28.0))
    assert float(batch.x["ct"][1, 2:].abs().max()) == 0.0
    assert batch.clinical.shape == (2, 0)


def test_collate_masks_each_series_and_what_is_missing() -> None:
    rows = patients()
    data = SliceDataset(rows, CACHES)
    batch = Collate(MADE, CACHES)([data[i] for i in (0, 3, 5, 6)])
    (a, m), (b, n) = CACHES["t1"].places["c00"], CACHES["t1"].places["c00#2"]
    assert batch.mask["t1"][0].sum(1).tolist() == [m, n]
    assert batch.mask["t1"].shape[1] == 2
    assert float(batch.mask["t1"].sum(1).max()) == 1.0  # no slice stands in two series
    assert np.array_equal(batch.x["t1"][0, :m], CACHES["t1"].slices[a : a + m])
    assert np.array_equal(batch.x["t1"][0, m : m + n], CACHES["t1"].slices[b : b + n])
    assert float(batch.mask["t2"][1].sum()) == 0.0
    assert float(batch.x["t2"][1].abs().max()) == 0.0
    assert batch.known["volume"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert batch.known["death"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert batch.y["death"].shape == (4, 2)


def test_a_batch_without_any_scan_of_a_role_is_one_empty_slice_wide() -> None:
    x, mask = stack([[], []], (1, 2, 2))
    assert x.shape == (2, 1, 1, 2, 2)
    assert mask.shape == (2, 1, 1)
    assert float(mask.sum()) == 0.0


def test_a_limit_draws_other_slices_each_epoch_in_order() -> None:
    data = SliceDataset(series(), ONE, limit=3, seed=1)
    seen = set()
    for data.epoch in range(6):
        (bag,) = data[0][1]["ct"]
        first = bag[:, 0, 0, 0]
        assert len(first) == 3
        assert (np.diff(first) > 0).all()
        seen.add(tuple(first))
    assert len(seen) > 1
    assert len(data[1][1]["ct"][0]) == 2


def test_a_limit_is_shared_among_the_series_of_a_patient() -> None:
    cache = {"ct": Prepared(SLICES, {"a": (0, 4), "a#2": (4, 3)}, {})}
    row = Sample("a", "a", {"ct": ((0, 4), (4, 3))}, (), {})
    counts = set()
    for epoch in range(40):
        data = SliceDataset([row], cache, limit=3, seed=1)
        data.epoch = epoch
        bags = data[0][1]["ct"]
        assert sum(len(b) for b in bags) == 3
        assert all(len(b) for b in bags)
        counts.add(tuple(len(b) for b in bags))
        values = np.concatenate(bags)[:, 0, 0, 0]
        assert (np.diff(values) > 0).all()
    assert counts == {(2, 1), (1, 2), (3,)}  # all of one series, too, and then the other is no bag at all


@pytest.mark.parametrize("hide", [0.3, 0.95])
def test_hidden_roles_are_drawn_anew_in_each_epoch_and_one_always_stays(hide: float) -> None:
    rows = patients()
    data = SliceDataset(rows, CACHES, seed=2, hide=hide)
    both = [i for i, r in enumerate(rows) if r.places["t1"] and r.places["t2"]]
    lost = {"t1": 0, "t2": 0, "clinical": 0}
    for data.epoch in range(60):
        for i in range(len(rows)):
            row, found = data[i]
            assert any(found.values())
            assert row.y == rows[i].y
            if i in both:
                lost["t1"] += not found["t1"]
                lost["t2"] += not found["t2"]
            lost["clinical"] += bool(np.isnan(row.clinical).all())
    tries = 60 * len(both)
    # hidden and not put back: h(1−h) + h²/2 for each of two roles
    expected = hide * (1 - hide) + hide**2 / 2
    assert lost["t1"] / tries == pytest.approx(expected, abs=0.06)
    assert lost["t2"] / tries == pytest.approx(expected, abs=0.06)
    assert lost["clinical"] / (60 * len(rows)) == pytest.approx(hide, abs=0.06)


def test_what_is_hidden_depends_on_seed_epoch_and_row_alone() -> None:
    def seen(seed: int, epoch: int) -> list[tuple[bool, ...]]:
        data = SliceDataset(patients(), CACHES, seed=seed, hide=0.5)
        data.epoch = epoch
        return [tuple(bool(bags) for bags in data[i][1].values()) for i in (*range(12), 0)]

    assert seen(1, 4) == seen(1, 4)
    assert seen(1, 4)[0] == seen(1, 4)[-1]
    assert seen(1, 4) != seen(1, 5)
    assert seen(1, 4) != seen(2, 4)


def test_nothing_is_hidden_where_nothing_was_asked() -> None:
    rows = patients()
    data = SliceDataset(rows, CACHES)
    for i, row in enumerate(rows):
        same, found = data[i]
        assert same is row
        assert {k: len(v) for k, v in found.items()} == {k: len(v) for k, v in row.places.items()}


def test_splits_that_lack_what_they_need_are_refused() -> None:
    rows = patients()
    check_classes(rows, MADE, "train")
    with pytest.raises(TrainingError, match="val split has no usable labelled case"):
        check_classes([replace(r, y={**r.y, "tumour": None}) for r in rows], MADE, "val")
    with pytest.raises(TrainingError, match="no case of benign"):
        check_classes([r for r in rows if r.y["tumour"] != (0.0, 1.0, 0.0)], MADE, "train")
    with pytest.raises(TrainingError, match="holds 0 of 8 cases with 'malignant'"):
        check_classes([r for r in rows if r.y["tumour"] != (0.0, 0.0, 1.0)], MADE, "val")
