"""The proofs on made patients, small enough for every test run; docs/results/phantom-proofs.md has the whole ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import proof_cohorts
from sklearn.metrics import roc_auc_score
from torch import nn

from insula.core import recipe as recipes
from insula.model.pooling import build_pool

pytestmark = pytest.mark.train


def bags(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bags of thirty slices (8²) of uneven brightness; every second one has a brighter square in one slice."""
    g = np.random.default_rng(seed)
    x = (g.normal(0.0, 0.3, (count, 30, 1, 8, 8)) + g.normal(0.0, 0.5, (count, 30, 1, 1, 1))).astype(np.float32)
    y = np.arange(count) % 2
    for bag in np.flatnonzero(y):
        row, column = g.integers(0, 5, 2)
        x[bag, g.integers(30), 0, row : row + 3, column : column + 3] += 1.5
    return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))


def area(pool: str, lr: float) -> float:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    pooling, head = build_pool(pool, 16), nn.Linear(16, 1)
    x, y = bags(96, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *pooling.parameters(), *head.parameters()], lr=lr)

    def score(some: torch.Tensor) -> torch.Tensor:
        features = encoder(some.flatten(0, 1)).view(len(some), 30, 16)
        found: torch.Tensor = head(pooling(features, torch.ones(len(some), 1, 30)))
        return found[:, 0, 0]

    for _ in range(60):
        for part in torch.tensor_split(torch.randperm(len(x)), 3):
            optimiser.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(score(x[part]), y[part])
            torch.autograd.backward(loss)
            optimiser.step()
    test, truth = bags(200, 2)
    with torch.no_grad():
        return float(roc_auc_score(truth, score(test)))


def test_attention_finds_the_one_slice_of_thirty_that_a_mean_drowns() -> None:
    rates = (0.003, 0.01)
    assert max(area("attention", lr) for lr in rates) > max(area("mean", lr) for lr in rates) + 0.1


def test_the_proof_of_stages_has_its_labels(tmp_path: Path) -> None:
    recipe = recipes.parse(
        {
            "name": "small",
            "question": "Of which stage?",
            "inputs": {"mri": {"modality": "MR", "prep": [{"resize": 16}]}},
            "targets": {
                "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "malignant"}
            },
            "model": {"encoder": "simple_cnn"},
        },
        "small",
    )
    made = proof_cohorts.outcomes(recipe, tmp_path / "phantom", 12, 0)
    ill = [case for case in made.cohort.cases if case.labels["tumour"] != ("healthy",)]
    assert ill
    for case in ill:
        assert {"stage", "survival_days", "death", "days", "dead", "log_hazard"} <= set(case.attributes)
