from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from insula.bundle.types import Bundle
from insula.core.types import FloatArray
from insula.infer.engine import Engine, Outputs
from insula.infer.predict import Predictor
from insula.serve.models.gain import ROUNDS, measured

pytestmark = pytest.mark.serve


class Paced:
    """A clock that a call of the network moves on by a time that depends on its cases alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Mapping[int, float], change: float = 0.0) -> None:
        self.now = 0.0
        self.calls: list[int] = []
        plain = Engine.run

        def run(engine: Engine, given: Mapping[str, FloatArray]) -> Outputs:
            count = len(given["ct"])
            self.calls.append(count)
            self.now += seconds[count]
            found = plain(engine, given)
            return found if count == 1 or not change else replace(found, logits=found.logits + np.float32(change))

        monkeypatch.setattr(Engine, "run", run)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(tiny_bundle: Callable[..., Bundle]) -> Engine:
    return Predictor(tiny_bundle(), 1).engine


@pytest.mark.parametrize(
    ("seconds", "most"),
    [
        ({1: 0.002, 4: 0.008, 16: 0.032}, 1),  # a batch takes as long as its cases: nobody waits for others
        ({1: 0.002, 4: 0.0076, 16: 0.032}, 1),  # 5% are not worth it
        ({1: 0.002, 4: 0.004, 16: 0.016}, 4),
        ({1: 0.002, 4: 0.004, 16: 0.006}, 16),
        ({1: 0.002, 4: 0.012, 16: 0.032}, 1),  # worse
    ],
)
def test_the_smallest_batch_that_is_worth_it_is_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], most: int
) -> None:
    clock = Paced(monkeypatch, seconds)
    found = measured(engine, clock)
    assert found.most == most
    assert (found.why == "") == (most > 1)
    assert found.seconds[1] == pytest.approx(0.002)
    assert found.seconds[4] == pytest.approx(seconds[4] / 4)
    assert (16 in found.seconds) == (most > 1)


def test_a_network_that_takes_long_is_not_kept_from_starting_by_trials(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Paced(monkeypatch, {1: 0.2})
    found = measured(engine, clock)
    assert (found.most, len(clock.calls)) == (1, ROUNDS)
    assert "200 ms" in found.why


def test_a_size_whose_trial_would_take_long_is_left_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(engine, Paced(monkeypatch, {1: 0.010, 4: 0.020}))
    assert (found.most, found.why, sorted(found.seconds)) == (4, "", [1, 4])


def test_where_a_case_gets_another_answer_in_a_batch_there_are_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(engine, Paced(monkeypatch, {1: 0.010, 4: 0.010, 16: 0.010}, change=1e-3))
    assert found.most == 1
    assert "differ" in found.why


def test_where_an_embedding_has_other_last_bits_there_are_none(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Paced(monkeypatch, {1: 0.010, 4: 0.010, 16: 0.010})
    paced = Engine.run

    def run(engine: Engine, given: Mapping[str, FloatArray]) -> Outputs:
        found = paced(engine, given)
        return (
            found if len(given["ct"]) == 1 else replace(found, embedding=np.nextafter(found.embedding, np.float32(9)))
        )

    monkeypatch.setattr(Engine, "run", run)
    found = measured(engine, clock)
    assert found.most == 1
    assert "last bits" in found.why
