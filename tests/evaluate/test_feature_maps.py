"""Maps: scikit-learn's principal components, and the same map from the same seed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from insula.evaluate import feature_maps as maps


def groups(n: int = 90, size: int = 20, seed: int = 0) -> np.ndarray:
    g = np.random.default_rng(seed)
    return g.normal(0, 1, (n, size)) + 6 * np.eye(size)[np.arange(n) % 3]


@pytest.mark.parametrize(("n", "size"), [(90, 20), (15, 40)])
def test_pca_is_scikit_learns_with_a_fixed_sign(n: int, size: int) -> None:
    z = groups(n, size)
    found, model = maps.pca(z), PCA(2).fit(z)
    wanted = model.transform(z)
    assert np.abs(found.places) == pytest.approx(np.abs(wanted), abs=1e-8)
    share = model.explained_variance_ratio_
    assert f"{share[0]:.0%}" in found.axes[0]
    assert f"{share.sum():.0%} of the variance" in found.said
    turned = maps.pca(z[::-1])
    assert turned.places[::-1] == pytest.approx(found.places, abs=1e-8)


def test_tsne_keeps_groups_together_and_one_seed_gives_one_map() -> None:
    z = groups()
    found = maps.tsne(z, 10.0, 3)
    assert np.array_equal(found.places, maps.tsne(z, 10.0, 3).places)
    assert "Perplexity 10, seed 3" in found.said
    middles = np.stack([found.places[k::3].mean(axis=0) for k in range(3)])
    own = np.linalg.norm(found.places - middles[np.arange(90) % 3], axis=1)
    assert own.mean() < 0.5 * np.linalg.norm(middles[0] - middles[1])
    assert found.kept == pytest.approx(trustworthiness(z, found.places, n_neighbors=15))
    assert "Perplexity 3," in maps.tsne(groups(10), 30.0).said  # at most a third of the points


def test_what_cannot_be_made_is_said() -> None:
    made, why = maps.make(groups(4), ("pca", "tsne"), 30.0, 15, 0)
    assert [plane.name for plane in made] == ["pca"]
    assert np.isnan(made[0].kept)
    assert "too few" in why["tsne"]
    made, why = maps.make(np.ones((30, 4)), ("pca", "tsne"), 30.0, 15, 0)
    assert made == []
    assert "one and the same embedding" in why["pca"]


@pytest.mark.skipif(find_spec("umap") is not None, reason="umap-learn is installed")
def test_without_umap_the_way_to_it_is_told() -> None:
    made, why = maps.make(groups(), ("umap",), 30.0, 15, 0)
    assert made == []
    assert "pip install 'insula[maps]'" in why["umap"]


@pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
def test_umap_keeps_groups_together_and_one_seed_gives_one_map() -> None:
    z = groups()
    found, again = maps.umap(z, 10, seed=1), maps.umap(z, 10, seed=1)
    assert found is not None
    assert again is not None
    assert np.array_equal(found.places, again.places)
    assert "10 neighbours" in found.said
    assert found.kept > 0.7
