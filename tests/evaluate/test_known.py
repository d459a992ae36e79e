from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from tests.evaluate import told
from tests.evaluate.scripted import Scripted, pairs

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.evaluate import known, near
from insula.evaluate.run import evaluate

Make = Callable[..., Bundle]


def test_a_bundle_that_tells_little_is_asked_for_no_more(tiny_bundle: Make) -> None:
    got = known.of_bundle(tiny_bundle())
    assert (len(got.patients), len(got.files), got.patient_ids, got.shuffled) == (2, 1, True, False)
    assert got.hashed("P1") in got.patients


def test_a_patient_is_known_again_in_another_letter_case(tiny_bundle: Make) -> None:
    got = known.of_bundle(tiny_bundle())
    assert [got.among(name, got.patients) for name in ("P1", "p1", " P2 ", "p3", "P11")] == [True] * 3 + [False] * 2


def test_what_a_bundle_tells_is_read(tiny_bundle: Make) -> None:
    pictures = near.Known(np.arange(8, dtype=np.uint64).reshape(2, 4), np.ones(256, np.float32))
    bundle = told.more(tiny_bundle(), pictures, ["Oslo"], ["P2"])
    got = known.of_bundle(bundle)
    assert got.pictures is not None
    np.testing.assert_array_equal(got.pictures.codes, pictures.codes)
    np.testing.assert_array_equal(got.pictures.medians, pictures.medians)
    assert got.sites == {hash_patient(bundle.baseline.salt, "Oslo")}
    assert got.chosen_on == {got.hashed("P2")}


def test_a_run_on_shuffled_labels_that_is_right_gives_itself_away(tiny_bundle: Make) -> None:
    bundle = tiny_bundle()
    bundle = replace(bundle, provenance={**bundle.provenance, "shuffled_labels": True})
    made, script = pairs(24)
    right = evaluate(bundle, made, predictor=Scripted(script), replicates=200)
    assert "it was trained on shuffled labels and yet its ROC-AUC is" in right.headline
    rng = np.random.default_rng(1)
    guessed = dict(zip(script, rng.random(len(script)).tolist(), strict=True))
    chance = evaluate(bundle, made, predictor=Scripted(guessed), replicates=200)
    assert {g.name: g.verdict for g in chance.guards}["chance"] == "pass"
    assert chance.optimistic == ()
