import numpy as np
import pytest
import torch

from insula.core import recipe as recipes
from insula.core.types import Case, Scan
from insula.prep.cache import Prepared
from insula.train.data import EpochSampler, SliceDataset, collate, samples

pytestmark = pytest.mark.train
PREPARED = Prepared(np.arange(7 * 4, dtype=np.float32).reshape(7, 1, 2, 2), {"a": (0, 5), "b": (5, 2)}, {"c": "bad"})


def cases(target: str, label: str) -> list[Case]:
    scan = {"ct": Scan(("x",), "npy")}
    labels: tuple[dict[str, tuple[str, ...]], ...] = ({target: (label,)}, {target: ()}, {target: ()}, {})
    return [Case(k, k, scan, found) for k, found in zip("abcd", labels, strict=True)]


def test_a_series_is_one_sample_and_an_image_unit_one_a_slice() -> None:
    series = samples(cases("haemorrhage", "any"), PREPARED, recipes.load("haemorrhage-ct"))
    assert [(s.offset, s.count, s.y[0]) for s in series] == [(0, 5, 1.0), (5, 2, 0.0)]
    images = samples(cases("stroke", "stroke")[:1], PREPARED, recipes.load("stroke-ct"))
    assert [(s.offset, s.count) for s in images] == [(i, 1) for i in range(5)]


def test_collate_pads_under_a_mask() -> None:
    rows = samples(cases("haemorrhage", "any"), PREPARED, recipes.load("haemorrhage-ct"))
    batch = collate([SliceDataset(rows, PREPARED)[i] for i in range(2)])
    assert batch.x.shape == (2, 5, 1, 2, 2)
    assert batch.mask.sum(1).tolist() == [5.0, 2.0]
    assert torch.equal(batch.x[1, :2].flatten(), torch.arange(20.0, 28.0))
    assert float(batch.x[1, 2:].abs().max()) == 0.0


def test_a_limit_draws_other_slices_each_epoch_in_order() -> None:
    rows = samples(cases("haemorrhage", "any"), PREPARED, recipes.load("haemorrhage-ct"))
    data = SliceDataset(rows, PREPARED, limit=3, seed=1)
    seen = set()
    for data.epoch in range(6):
        first = data[0][0][:, 0, 0, 0]
        assert len(first) == 3
        assert (np.diff(first) > 0).all()
        seen.add(tuple(first))
    assert len(seen) > 1


def test_the_order_depends_on_seed_and_epoch() -> None:
    sampler = EpochSampler(20, 3)
    first = list(sampler)
    assert sorted(first) == list(range(20))
    assert first == list(sampler)
    sampler.epoch = 1
    assert first != list(sampler)
