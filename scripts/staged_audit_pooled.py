"""What two stages of staged audits differ in on the test patients, over all seeds of training together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.metrics import classification as cl
from insula.metrics.compare import Comparison, paired_bootstrap
from insula.report import words

Told = Mapping[str, Any]
Bools = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """The mean over seeds of a share after and before, and of each seed the later minus the earlier share."""

    gap: Comparison
    seeds: tuple[float, ...]

    @property
    def sign(self) -> int:
        """−1 or 1 where the whole interval lies below or above zero, else 0."""
        low, high = self.gap.difference.interval or (0.0, 0.0)
        return -1 if high < 0 else 1 if low > 0 else 0

    @property
    def by_seed(self) -> str:
        """The difference of each seed, in points."""
        return ", ".join(_points(gap) for gap in self.seeds)

    def __str__(self) -> str:
        ends = self.gap.difference.interval
        between = f" ({_points(ends[0])} to {_points(ends[1])})" if ends else ""
        return (
            f"{words.percent(self.gap.second)} → {words.percent(self.gap.first)}, "
            f"{_points(self.gap.difference.value)} points{between}"
        )


def alarms(kept: Sequence[Told], now: str, before: str, among: Mapping[str, bool] | None = None) -> Pooled:
    """The share of the negatives that is called positive. among: whether a patient counts; all where absent."""
    keys = _keys(kept)
    wanted = np.array([among is None or among[key] for key in keys.tolist()])
    return _share(kept, now, before, ~_truth(kept) & wanted)


def found(kept: Sequence[Told], now: str, before: str) -> Pooled:
    """The sensitivity."""
    return _share(kept, now, before, _truth(kept))


def precision(kept: Sequence[Told], now: str, before: str) -> Pooled:
    """The share of true positives among those that are called positive."""
    y = _truth(kept)

    def of(called: Bools) -> Callable[[Values], Values]:
        return lambda w: np.mean([cl.ratio(w @ (one & y), w @ one.astype(float)) for one in called], axis=0)

    return _pooled(of, _called(kept, now), _called(kept, before), _keys(kept), int(y.sum()))


def youden(kept: Sequence[Told], now: str, before: str) -> Pooled:
    """Sensitivity + specificity − 1."""
    y = _truth(kept)

    def of(called: Bools) -> Callable[[Values], Values]:
        rate = called.mean(axis=0)
        return lambda w: cl.ratio(w @ (rate * y), w @ y.astype(float)) - cl.ratio(w @ (rate * ~y), w @ (~y * 1.0))

    return _pooled(of, _called(kept, now), _called(kept, before), _keys(kept), int(y.sum()))


def with_both(kept: Sequence[Told], now: str, before: str) -> list[Told]:
    """The staged audits that have both stages."""
    return [told for told in kept if now in told["answers"] and before in told["answers"]]


def _share(kept: Sequence[Told], now: str, before: str, rows: Bools) -> Pooled:
    def of(called: Bools) -> Callable[[Values], Values]:
        return lambda w: w @ called.mean(axis=0) / w.sum(axis=1)

    later, earlier = (_called(kept, name)[:, rows] for name in (now, before))
    return _pooled(of, later, earlier, _keys(kept)[rows], 0)


def _pooled(
    of: Callable[[Bools], Callable[[Values], Values]], now: Bools, before: Bools, keys: NDArray[np.str_], events: int
) -> Pooled:
    """now, before: (seeds, patients)."""
    whole = np.ones((1, len(keys)))
    gaps = tuple(float((of(a[None])(whole) - of(b[None])(whole))[0]) for a, b in zip(now, before, strict=True))
    return Pooled(paired_bootstrap(of(now), of(before), keys, events), gaps)


def _keys(kept: Sequence[Told]) -> NDArray[np.str_]:
    """The patients, who are the same for every network."""
    orders = {tuple(one["patients"]) for told in kept for one in told["answers"].values()}
    if len(orders) > 1:
        raise SystemExit("Not every network answered the same test patients; make the staged audits anew.")
    return np.array(orders.pop())


def _truth(kept: Sequence[Told]) -> Bools:
    return np.array(next(iter(kept[0]["answers"].values()))["y"])


def _called(kept: Sequence[Told], name: str) -> Bools:
    """Who is called positive (seeds, patients)."""
    return np.array([told["answers"][name]["called"] for told in kept])


def _points(x: float) -> str:
    return f"{round(100 * x, 1) + 0.0:+.1f}".replace("-", "−")
