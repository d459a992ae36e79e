"""Refusal on made scans: heads pass, and what is no head CT does not, by header, by picture or by distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.infer import made_strangers as strangers
from tests.tiny_bundle import parts, recipe, weights

from insula.bundle.types import Baseline
from insula.cohort.phantom.anatomy import build_head, draw_person
from insula.cohort.phantom.ct import FIELD_MM, SCANNERS, geometry, hounsfield, points
from insula.cohort.phantom.mr import signal
from insula.core.recipe import Input
from insula.core.recipe_policy import Refuse
from insula.core.types import FloatArray, Volume
from insula.infer import suitable, suitable_statistics
from insula.infer.domain_fit import Cases, fit
from insula.infer.domain_scale import of_case
from insula.prep.run import prepare

TRAIN, VAL, TEST = 60, 60, 40
SECTION = Input.model_validate(
    {"modality": "CT", "prep": [{"windows": {"value": [[40, 80]], "pictures": "as_shown"}}, {"resize": strangers.SIDE}]}
)
LIMIT = Refuse().distance or 0.0
FAR = 1e9  # what the checks before the model refuse is further than anything


@cache
def head(number: int) -> Volume:
    g = np.random.default_rng((number, 5))
    place = geometry(g, strangers.SIDE, strangers.SLICES, tilted=number % 4 == 0)
    hu = hounsfield(build_head(draw_person(number, 3), points(place)), place, [], SCANNERS[number % 2], g)
    return Volume(hu[None], place.affine, "HU", "CT", "made", attributes={"body_part": "HEAD"})


def embedding(prepared: FloatArray) -> FloatArray:
    """What a network of one random layer makes of the slices (S, 1, H, W): (1, 24)."""
    w = np.random.default_rng(0).normal(size=(24, 256)) / 16.0
    small = prepared[:, 0].reshape(len(prepared), 16, 4, 16, 4).mean(axis=(2, 4)).reshape(len(prepared), 256)
    found: FloatArray = np.maximum(small @ w.T, 0.0).mean(axis=0, keepdims=True).astype(np.float32)
    return found


def cases(start: int, count: int) -> Cases:
    made = [prepare(head(i), SECTION) for i in range(start, start + count)]
    looks = np.stack([suitable_statistics.of_bags([one]) for one in made])
    embeddings = np.concatenate([embedding(one) for one in made])
    return Cases(embeddings, np.arange(count), [f"p{start + i}" for i in range(count)], {"ct": looks})


@pytest.fixture(scope="module")
def base() -> Baseline:
    found = fit(cases(0, TRAIN), cases(TRAIN, VAL))
    return replace(parts(recipe(), weights(1, 2)).baseline, **vars(found))


@pytest.fixture(scope="module")
def own(base: Baseline) -> list[float]:
    return [distance(head(i), base) for i in range(TRAIN + VAL, TRAIN + VAL + TEST)]


def distance(volume: Volume, base: Baseline) -> float:
    """How far a scan is on the way of a prediction: what is refused before the model is as far as can be."""
    rules = Refuse()
    try:
        suitable.before(volume, SECTION, (1, strangers.SIDE, strangers.SIDE), rules)
        prepared = prepare(volume, SECTION)
        suitable.after(prepared, rules)
    except suitable.NoSuchScanError:
        return FAR
    return of_case(embedding(prepared), {"ct": (prepared,)}, base)[1]["all"]


def test_heads_are_not_refused(own: list[float]) -> None:
    assert sum(far > LIMIT for far in own) <= 0.05 * TEST
    assert sum(far > 1.0 for far in own) <= 0.2 * TEST  # 5% are expected, of 40 with limits from 60
    assert all(far < FAR for far in own)


KINDS = {
    "colour photographs": strangers.photograph,
    "grey photographs": lambda seed: strangers.photograph(seed, grey=True),
    "pages of text": strangers.page,
    "knee CT": strangers.knee,
    "chest CT": strangers.chest,
    "noise": strangers.noise,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_head_lies_beyond_the_limit(kind: str, base: Baseline, own: list[float]) -> None:
    far = [distance(KINDS[kind](seed), base) for seed in range(12)]
    assert roc_auc_score([0] * TEST + [1] * 12, [*own, *far]) >= 0.95
    assert sum(one > LIMIT for one in far) >= 11
    assert all(one == FAR for one in far) == (kind == "colour photographs")


def mr_head(number: int, contrast: str) -> Volume:
    g = np.random.default_rng((number, 9))
    place = geometry(g, strangers.SIDE, strangers.SLICES, tilted=False)
    values = signal(contrast, build_head(draw_person(number, 3), points(place)), [], FIELD_MM / strangers.SIDE, g)
    return Volume(values[None], place.affine, "a.u.", "MR", "made")


@pytest.mark.parametrize("contrast", ["t1", "t1c", "t2", "flair"])
@pytest.mark.parametrize("taken", [strangers.mr_as_ct, strangers.mr_as_picture])
def test_an_mr_that_passes_for_a_ct_lies_beyond_heads_on_ct(
    taken: Callable[[Volume], Volume], contrast: str, base: Baseline, own: list[float]
) -> None:
    far = [distance(taken(mr_head(300 + i, contrast)), base) for i in range(12)]
    assert roc_auc_score([0] * TEST + [1] * 12, [*own, *far]) >= 0.95
    assert all(one < FAR for one in far)  # by its distance, not by a header


@pytest.mark.parametrize("kind", list(strangers.spoilt()))
def test_spoilt_heads_lie_farther_than_sound_ones(kind: str, base: Baseline, own: list[float]) -> None:
    far = [distance(strangers.spoilt()[kind](head(TRAIN + VAL + i), i), base) for i in range(12)]
    least = 0.85 if kind == "upside down" else 0.95  # a head has much the same outline either way up
    assert roc_auc_score([0] * TEST + [1] * 12, [*own, *far]) >= least


def test_another_part_of_the_body_is_refused_by_its_header_however_it_looks(base: Baseline) -> None:
    assert distance(replace(head(TRAIN + VAL), attributes={"body_part": "CHEST"}), base) == FAR
