"""Hard-negative rounds of a run: which training inputs the network wrongly calls positive, as it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from insula.core.recipe import Recipe
from insula.metrics import thresholds
from insula.model.network import Network
from insula.prep.cache import Prepared
from insula.train import hard_negatives
from insula.train.data import Collate, Sample, SliceDataset, labels
from insula.train.primary import negative, scores
from insula.train.sampling import EpochSampler, Hard


class Rounds:
    """Finds hard negatives at the threshold that validation gives, keeps their list, and hands them to the sampler.

    shown: a context in which the network has the weights that validation sees.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: Network,
        rows: Sequence[Sample],
        val_rows: Sequence[Sample],
        prepared: Mapping[str, Prepared],
        path: Path,
        sampler: EpochSampler,
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.network, self.prepared = recipe, network, prepared
        self.rows, self.val_rows, self.path = rows, val_rows, path
        self.sampler, self.say = sampler, say
        self.shown: Callable[[], AbstractContextManager[object]] = nullcontext

    def find(self, number: int, starts: bool) -> Hard:
        """The inputs of round `number`; looked for at its start, read from their list where a run goes on within it."""
        names = [f"{row.case} {sorted(row.places.items())}" for row in self.rows]
        if starts:
            y, known = labels(self.rows, self.recipe)
            target = self.recipe.target_name
            own = negative(self.recipe.target, y[target], known[target])
            found = hard_negatives.find(self._scores(self.rows), own, limit := self._limit())
            self.say(f"  {len(found.rows)} training inputs are wrongly called positive at or above {limit:.3f}")
            hard_negatives.write(self.path, number, found, names)
        return hard_negatives.read(self.path, number, names)

    def draw(self, found: Hard | None) -> None:
        """Let the sampler draw its share from them, or from none."""
        self.sampler.hard, self.sampler.share = found, self.recipe.train.hard_negatives.share

    def _limit(self) -> float:
        y, known = labels(self.val_rows, self.recipe)
        name, target = self.recipe.target_name, self.recipe.target
        there = (known[name] > 0.5).numpy()
        truth = (y[name][:, target.positive_index] > 0.5).numpy()
        chosen = thresholds.choose(truth[there], self._scores(self.val_rows)[there], self.recipe.policy.operating_point)
        return float(chosen)

    def _scores(self, rows: Sequence[Sample]) -> NDArray[np.float64]:
        self.network.eval()
        device = next(self.network.parameters()).device
        loader = DataLoader(
            SliceDataset(rows, self.prepared),
            self.recipe.train.batch,
            collate_fn=Collate(self.recipe, self.prepared),
        )
        found = []
        with torch.no_grad(), self.shown():
            for batch in loader:
                x = {k: v.to(device) for k, v in batch.x.items()}
                mask = {k: v.to(device) for k, v in batch.mask.items()}
                found.append(self.network(x, mask, batch.clinical.to(device)).cpu())
        columns = torch.cat(found)[:, self.recipe.columns(self.recipe.target_name)]
        return scores(self.recipe.target, columns)
