from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from insula.bundle.types import Bundle, DecisionFacts
from insula.core.errors import InsulaError, LimitError, ScanError, UnsuitableScanError
from insula.core.types import Prediction, Uncertainty
from insula.infer.decide import decide, reject
from insula.infer.suitable import NoSuchScanError


def prediction(
    p: tuple[float, ...], spread: tuple[float, ...] | None = None, domain: float = 0.5, classes: tuple[str, ...] = ()
) -> Prediction:
    return Prediction(
        case="k",
        bundle_id="b",
        target="answer",
        classes=classes or ("normal", "stroke"),
        probabilities=np.array(p, np.float32),
        spread=None if spread is None else np.array(spread, np.float32),
        prediction_set=(),
        domain_score=domain,
        embedding=np.zeros(3, np.float32),
    )


@pytest.mark.parametrize(
    ("p", "spread", "domain", "label", "confidence", "action", "reasons"),
    [
        ((0.1, 0.9), None, 0.5, "stroke", 0.9, "accept", ()),
        ((0.1, 0.9), (0.05, 0.1), 0.99, "stroke", 0.9, "accept", ()),
        ((0.39, 0.61), None, 0.5, "stroke", 0.61, "refer", ("confidence 0.61 is below 0.70",)),
        ((0.1, 0.9), (0.02, 0.14), 0.5, "stroke", 0.9, "refer", ("spread 0.14 is above 0.10",)),
        ((0.8, 0.2), (0.14, 0.02), 0.5, "normal", 0.8, "refer", ("spread 0.14 is above 0.10",)),
        ((0.8, 0.2), (0.02, 0.14), 0.5, "normal", 0.8, "accept", ()),
        ((0.3, 0.7), None, 0.5, "stroke", 0.7, "accept", ()),
        ((0.7, 0.3), None, 0.5, "stroke", 0.3, "refer", ("confidence 0.30 is below 0.70",)),
        ((0.71, 0.29), None, 0.5, "normal", 0.71, "accept", ()),
        ((0.304, 0.696), None, 0.5, "stroke", 0.696, "refer", ("confidence 0.696 is below 0.70",)),
    ],
)
def test_the_policy_as_a_table(
    tiny_bundle: Callable[..., Bundle],
    p: tuple[float, ...],
    spread: tuple[float, ...] | None,
    domain: float,
    label: str,
    confidence: float,
    action: str,
    reasons: tuple[str, ...],
) -> None:
    bundle = tiny_bundle(refer={"confidence": 0.7, "spread": 0.1, "domain": 0.99})
    facts = DecisionFacts({"normal": 0.5, "stroke": float(np.float32(0.3))}, 1.0, (1.0, 1.0))
    got = decide(prediction(p, spread, domain), replace(bundle, decision=facts))
    assert got.label == label
    assert got.positive == (label == "stroke")
    assert got.confidence == pytest.approx(confidence, abs=1e-6)
    assert got.action == action
    assert got.reasons == reasons


def unsure(spread: float = 0.0, entropy: float = 0.0, shared: float = 0.0) -> Uncertainty:
    each = np.full(2, 0.5, np.float32)
    return Uncertainty(9, each, np.full(2, spread, np.float32), each, each, entropy, shared)


@pytest.mark.parametrize(
    ("refer", "given", "reasons"),
    [
        ({"by": "views"}, {"views": unsure(0.2)}, ("spread over views 0.20 is above 0.10",)),
        ({"by": "views"}, {"views": unsure(0.1)}, ()),
        ({"by": "views"}, {"dropout": unsure(0.2), "members": unsure(0.2)}, ()),
        ({"by": "members", "spread": None}, {"members": unsure(0.2)}, ()),
        (
            {"by": "members", "entropy": 0.5},
            {"members": unsure(entropy=0.6)},
            ("entropy over members 0.60 is above 0.50",),
        ),
        ({"entropy": 0.5}, {"dropout": unsure(entropy=0.6)}, ("entropy 0.60 is above 0.50",)),
        (
            {"mutual_information": 0.02},
            {"dropout": unsure(shared=0.0201)},
            ("mutual information 0.0201 is above 0.02",),
        ),
        ({"mutual_information": 0.02, "by": "views"}, {"dropout": unsure(shared=0.03)}, ()),
    ],
)
def test_the_policys_source_and_limits_refer(
    tiny_bundle: Callable[..., Bundle],
    refer: dict[str, Any],
    given: dict[str, Uncertainty],
    reasons: tuple[str, ...],
) -> None:
    got = decide(replace(prediction((0.1, 0.9)), uncertainty=given), tiny_bundle(refer=refer))
    assert got.action == ("refer" if reasons else "accept")
    assert got.reasons == reasons
    words = {"spread": "spread", "entropy": "entropy", "mutual": "mutual_information"}
    assert got.kinds == tuple(words[reason.split()[0]] for reason in reasons)


@pytest.mark.parametrize(
    ("far", "limit", "action"),
    [(2.0, 2.0, "accept"), (2.01, 2.0, "reject"), (50.0, None, "accept"), (3.5, 4.0, "accept"), (None, 2.0, "accept")],
)
def test_a_scan_too_far_from_training_is_rejected_without_a_class(
    tiny_bundle: Callable[..., Bundle], far: float | None, limit: float | None, action: str
) -> None:
    bundle = tiny_bundle(refuse={"distance": limit})
    distances = {} if far is None else {"features": 0.1, "neighbours": 0.2, "picture_ct": 5.0, "all": far}
    got = decide(replace(prediction((0.1, 0.9)), distances=distances), bundle)
    assert got.action == action
    if action == "reject":
        assert (got.label, got.positive, got.confidence) == ("", False, 0.0)
        assert len(got.reasons) == 1
        assert got.kinds == ("distance",)
        assert "2.01 times as far" in got.reasons[0]
        assert "above 2.00, most in its picture" in got.reasons[0]


def test_beyond_95_percent_of_validation_a_scan_is_referred_with_the_part_that_differs(
    tiny_bundle: Callable[..., Bundle],
) -> None:
    bundle = tiny_bundle()
    near = decide(prediction((0.1, 0.9), None, 0.95), bundle)
    odd = replace(prediction((0.1, 0.9), None, 0.97), distances={"features": 1.2, "picture_ct": 0.4, "all": 1.1})
    got = decide(odd, bundle)
    assert (near.action, got.action, got.label) == ("accept", "refer", "stroke")
    assert "farther than 0.97 of the validation scans, above 0.95, most in its features)" in got.reasons[0]


@pytest.mark.parametrize(
    ("p", "accept_from", "reason"),
    [
        (0.9, None, ""),
        (0.9, 0.85, ""),
        (0.85, 0.85, ""),
        (0.84, 0.85, "confidence 0.84 is below 0.85, from where on the risk is bounded"),
        (1.0, 1.5, "every case is referred"),
    ],
)
def test_below_the_confidence_that_bounds_the_error_a_person_looks(
    tiny_bundle: Callable[..., Bundle], p: float, accept_from: float | None, reason: str
) -> None:
    bundle = tiny_bundle(refer={"risk": {"error": 0.05}})
    bundle = replace(bundle, decision=replace(bundle.decision, accept_from=accept_from))
    got = decide(prediction((1.0 - p, p)), bundle)
    assert got.action == ("refer" if reason else "accept")
    assert len(got.reasons) == bool(reason)
    assert reason in "".join(got.reasons)
    assert got.kinds == (("risk_unbounded" if accept_from == 1.5 else "risk",) if reason else ())


def test_an_unlike_scan_is_referred_in_words(tiny_bundle: Callable[..., Bundle]) -> None:
    got = decide(prediction((0.1, 0.9), None, 1.0), tiny_bundle())
    assert got.action == "refer"
    assert got.reasons[0].startswith("the scan is unlike the training scans (")
    assert "1.00" in got.reasons[0]


def test_all_reasons_are_given_at_once(tiny_bundle: Callable[..., Bundle]) -> None:
    got = decide(prediction((0.45, 0.55), (0.2, 0.2), 1.0), tiny_bundle())
    assert len(got.reasons) == 3
    assert got.kinds == ("confidence", "spread", "domain")


def test_of_the_other_classes_the_most_probable_is_chosen(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    target = bundle.recipe.target.model_copy(update={"classes": ("a", "stroke", "c")})
    recipe = bundle.recipe.model_copy(update={"targets": {"answer": target}})
    bundle = replace(
        bundle, recipe=recipe, decision=DecisionFacts({"a": 0.5, "stroke": 0.6, "c": 0.5}, 1.0, (1.0,) * 3)
    )
    got = decide(prediction((0.2, 0.5, 0.3), classes=("a", "stroke", "c")), bundle)
    assert (got.label, got.positive) == ("c", False)
    assert got.confidence == pytest.approx(0.3)


@pytest.mark.parametrize(("p", "label", "confidence"), [(0.8, "any", 0.8), (0.2, "no any", 0.8), (0.5, "any", 0.5)])
def test_labels_are_confident_in_presence_or_absence(
    tiny_bundle: Callable[..., Bundle], p: float, label: str, confidence: float
) -> None:
    got = decide(prediction((p, 0.99, 0.01), classes=("any", "subdural", "epidural")), tiny_bundle(kind="multilabel"))
    assert got.label == label
    assert got.confidence == pytest.approx(confidence)


def test_a_refused_scan_is_rejected_with_its_reason() -> None:
    got = reject(UnsuitableScanError("The scan's modality is MR; give a CT."))
    assert (got.action, got.label, got.reasons) == ("reject", "", ("The scan's modality is MR; give a CT.",))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnsuitableScanError("It is an MR; give a CT."), "unsuitable_scan"),
        (ScanError("It is empty."), "unreadable_scan"),
        (LimitError("It is too long."), "limit_exceeded"),
        (NoSuchScanError("colour", "It is a photograph."), "colour"),
        (NoSuchScanError("body part", "It is a knee."), "body_part"),
    ],
)
def test_the_kind_of_a_refusal_is_the_check_or_the_error(error: InsulaError, kind: str) -> None:
    assert reject(error).kinds == (kind,)
