from collections import Counter

import numpy as np
import pytest

from insula.core.errors import TrainingError
from insula.train.sampling import (
    EpochSampler,
    Hard,
    balanced,
    balanced_draws,
    part,
    permutation,
    rows_per_process,
    whole_batches,
    with_hard,
)

pytestmark = pytest.mark.train

# Class 1 is rare; of class 0 the patient "many" has half of the rows.
CLASSES = [0] * 40 + [1] * 5
PATIENTS = ["many"] * 20 + [f"p{i}" for i in range(20)] + ["q0", "q0", "q0", "q1", "q2"]


def test_an_order_hangs_on_seed_and_epoch_alone() -> None:
    assert permutation(50, 3, 7).tolist() == permutation(50, 3, 7).tolist()
    assert sorted(permutation(50, 3, 7)) == list(range(50))
    orders = {tuple(permutation(50, s, e)) for s in range(3) for e in range(3)}
    assert len(orders) == 9
    assert balanced(CLASSES, PATIENTS, 1, 2).tolist() == balanced(CLASSES, PATIENTS, 1, 2).tolist()
    assert balanced(CLASSES, PATIENTS, 1, 2).tolist() != balanced(CLASSES, PATIENTS, 1, 3).tolist()


def test_classes_are_drawn_equally_often_and_patients_take_turns() -> None:
    for epoch in range(5):
        rows = balanced(CLASSES, PATIENTS, 0, epoch)
        assert Counter(CLASSES[r] for r in rows) == {0: 22, 1: 22}
        turns = Counter(PATIENTS[r] for r in rows)
        assert {turns[f"p{i}"] for i in range(20)} | {turns["many"]} <= {1, 2}  # 22 draws of 21 patients
        assert all(turns[q] in (7, 8) for q in ("q0", "q1", "q2"))  # 22 of 3
        of_q0 = Counter(r for r in rows.tolist() if PATIENTS[r] == "q0")
        assert max(of_q0.values()) - min(of_q0.values()) <= 1


def test_the_mean_draws_are_what_an_epoch_draws_on_average() -> None:
    counts = np.zeros(len(CLASSES))
    for epoch in range(2000):
        counts += np.bincount(balanced(CLASSES, PATIENTS, 0, epoch), minlength=len(CLASSES))
    expected = balanced_draws(CLASSES, PATIENTS)
    assert expected.sum() == pytest.approx(44)
    assert expected[0] == pytest.approx(22 / 21 / 20)
    # a row is drawn 0 or 1 time more or less, so the mean of 2000 has a standard error of at most 0.5/√2000 = 0.011
    assert np.abs(counts / 2000 - expected).max() < 0.05


def test_hard_negatives_take_their_share_of_every_batch_in_proportion_to_their_scores() -> None:
    hard = Hard(np.array([100, 101, 102]), np.array([0.6, 0.3, 0.1]))
    seen: Counter[int] = Counter()
    for epoch in range(300):
        order = permutation(40, 0, epoch)
        mixed = with_hard(order, hard, 0.25, 8, 0, epoch)
        assert [int((mixed[i : i + 8] >= 100).sum()) for i in range(0, 40, 8)] == [2] * 5
        assert all(len(set(mixed[i : i + 8])) == 8 for i in range(0, 40, 8))
        kept = mixed < 100
        assert np.array_equal(mixed[kept], order[kept])
        seen.update(mixed[~kept].tolist())
    # two of three, one after the other without putting back: P(row) = p + Σ_j p_j·p/(1−p_j)
    p = hard.scores
    expected = [p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(3) if j != i) for i in range(3)]
    assert [seen[100 + i] / 1500 for i in range(3)] == pytest.approx(expected, abs=0.04)
    assert with_hard(order, hard, 0.25, 8, 0, 9).tolist() == with_hard(order, hard, 0.25, 8, 0, 9).tolist()


def test_few_hard_negatives_are_repeated_and_none_change_nothing() -> None:
    one = Hard(np.array([9]), np.array([0.0]))
    assert with_hard(np.arange(4), one, 0.5, 4, 0, 0).tolist().count(9) == 2
    none = Hard(np.array([], dtype=np.int64), np.array([]))
    assert with_hard(np.arange(4), none, 0.5, 4, 0, 0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("count", [24, 25, 35, 37])
def test_processes_see_together_the_batches_of_one(world: int, count: int) -> None:
    batch = 12
    patients = [str(i) for i in range(count)]
    alone = list(EpochSampler(patients, 5, batch))
    each = rows_per_process(batch, world)
    shares = [list(EpochSampler(patients, 5, batch, rank=r, world=world)) for r in range(world)]
    assert {len(s) for s in shares} == {len(alone) // world}
    for i in range(len(alone) // batch):
        together = [row for s in shares for row in s[i * each : (i + 1) * each]]
        assert sorted(together) == sorted(alone[i * batch : (i + 1) * batch])


def test_parts_are_equally_long_and_leave_no_row_out() -> None:
    parts = [part(np.arange(10), r, 4).tolist() for r in range(4)]
    assert parts == [[0, 4, 8], [1, 5, 9], [2, 6, 0], [3, 7, 1]]
    assert [part(np.arange(1), r, 3).tolist() for r in range(3)] == [[0], [0], [0]]


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_does() -> None:
    with pytest.raises(TrainingError, match=r"batch = 10 does not divide among 4 processes; set it to 8"):
        rows_per_process(10, 4)
    assert whole_batches(np.arange(11), 4).tolist() == list(range(8))
    assert whole_batches(np.arange(3), 4).tolist() == [0, 1, 2]


@pytest.mark.parametrize("classes", [None, CLASSES])
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("batch", [4, 16, 100])
def test_the_samplers_length_is_what_it_gives(classes: list[int] | None, world: int, batch: int) -> None:
    sampler = EpochSampler(PATIENTS, 0, batch, classes=classes, world=world)
    first = list(sampler)
    assert len(first) == len(sampler)
    sampler.epoch = 1
    assert list(sampler) != first
    sampler.hard, sampler.share = Hard(np.array([44]), np.array([0.9])), 0.5
    assert len(list(sampler)) == len(sampler)
    assert Counter(sampler.order().tolist())[44] >= len(sampler.order()) // 2
