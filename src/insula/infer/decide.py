"""From a prediction to a decision, by the recipe's policy and the thresholds chosen on validation cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from insula.bundle.types import Bundle
from insula.core.errors import InsulaError
from insula.core.recipe import Refer
from insula.core.types import Decision, Prediction
from insula.infer.domain_scale import ALL
from insula.infer.suitable import NoSuchScanError

Limited = Literal["spread", "entropy", "mutual_information"]
Kind = Literal["confidence", "risk", "risk_unbounded", Limited, "domain", "distance"]


def decide(prediction: Prediction, bundle: Bundle) -> Decision:
    """The class that a prediction stands for, and whether a person has to look at the case, with each reason.

    The positive class is chosen from its threshold on; below it, the most probable of the other classes (exclusive
    classes) or "no <label>" (labels). confidence is the probability of what was chosen. A scan that lies too far from
    the training data is rejected: there is no class then. A score that was not asked for refers nobody. Each reason has
    its `Kind`.
    """
    if too_far := _too_far(prediction, bundle):
        return Decision("", False, 0.0, "reject", (too_far,), ("distance",))
    target, refer = bundle.recipe.target, bundle.recipe.policy.refer
    k = target.positive_index
    p = [float(value) for value in prediction.probabilities]
    positive = p[k] >= bundle.decision.thresholds[target.positive]
    chosen = k
    if target.kind == "multilabel":
        label = target.positive if positive else f"no {target.positive}"
        confidence = p[k] if positive else 1.0 - p[k]
    else:
        if not positive:
            chosen = max((i for i in range(len(p)) if i != k), key=lambda i: p[i])
        label, confidence = target.classes[chosen], p[chosen]
    found: list[tuple[Kind, str]] = []
    # six digits are what leaves the program: a limit of 0.7 is not missed by the last bit of a float32
    if round(confidence, 6) < refer.confidence:
        found.append(("confidence", "confidence {} is below {}".format(*_apart(confidence, refer.confidence))))
    accept_from = bundle.decision.accept_from
    if accept_from is not None and round(confidence, 6) < accept_from:
        kind: Kind = "risk" if accept_from <= 1.0 else "risk_unbounded"
        found.append((kind, _unbounded(confidence, accept_from, bundle)))
    for score, name, value, limit in _unsure(prediction, chosen, refer):
        if limit is not None and round(value, 6) > limit:
            found.append((score, "{} {} is above {}".format(name, *_apart(value, limit))))
    if round(prediction.domain_score, 6) > refer.domain:
        share = _apart(prediction.domain_score, refer.domain)
        unlike = (
            f"the scan is unlike the training scans (as far from them as or farther than {share[0]} of the validation "
            f"scans, above {share[1]}{_most_in(prediction)})"
        )
        found.append(("domain", unlike))
    reasons, kinds = tuple(text for _, text in found), tuple(kind for kind, _ in found)
    return Decision(label, positive, confidence, "refer" if found else "accept", reasons, kinds)


def reject(error: InsulaError) -> Decision:
    """The decision on a scan that the checks before the model refused: no class, with the check's reason."""
    return Decision("", False, 0.0, "reject", (str(error),), (refusal(error),))


def refusal(error: InsulaError) -> str:
    """The kind of a refusal before the model: the check of `insula.infer.suitable`, or else the error's own code."""
    return error.check.replace(" ", "_") if isinstance(error, NoSuchScanError) else error.code


def withheld(prediction: Prediction, decision: Decision) -> Prediction:
    """The prediction as it may be shown: of a rejected scan without anything that could be read as an answer."""
    if decision.action != "reject":
        return prediction
    none = np.zeros(0, np.float32)
    return replace(
        prediction, classes=(), probabilities=none, spread=None, prediction_set=(), heatmaps={}, uncertainty={}, also={}
    )


def _unsure(prediction: Prediction, chosen: int, refer: Refer) -> Iterator[tuple[Limited, str, float, float | None]]:
    """The scores of the source that the policy refers by, where it was asked for: kind, name, value, limit."""
    found = prediction.uncertainty.get(refer.by)
    of = "" if refer.by == "dropout" else f" over {refer.by}"
    spread = prediction.spread if refer.by == "dropout" else None if found is None else found.spread
    if spread is not None:
        yield "spread", f"spread{of}", float(spread[chosen]), refer.spread
    if found is not None:
        yield "entropy", f"entropy{of}", found.entropy, refer.entropy
        yield "mutual_information", f"mutual information{of}", found.mutual_information, refer.mutual_information


def _too_far(prediction: Prediction, bundle: Bundle) -> str:
    """Why the scan is none that the model can answer, or ""."""
    limit, far = bundle.recipe.policy.refuse.distance, prediction.distances.get(ALL)
    if limit is None or far is None or round(far, 6) <= limit:
        return ""
    pair = _apart(far, limit)
    return (
        f"the scan is too unlike the training scans to be answered: {pair[0]} times as far from their middle as 95% of "
        f"the validation scans, above {pair[1]}{_most_in(prediction)}; give another scan or another recipe"
    )


def _most_in(prediction: Prediction) -> str:
    """By which part a scan is most unlike, in words; nothing where the bundle tells no parts."""
    parts = {name: value for name, value in prediction.distances.items() if name != ALL}
    if not parts:
        return ""
    name = max(parts, key=lambda one: parts[one])
    return f", most in its {'picture' if name.startswith('picture_') else 'features'}"


def _unbounded(confidence: float, accept_from: float, bundle: Bundle) -> str:
    """Why a confidence is not accepted where the policy bounds the risk."""
    if accept_from <= 1.0:
        pair = _apart(confidence, accept_from)
        return f"confidence {pair[0]} is below {pair[1]}, from where on the risk is bounded on validation patients"
    found: Any = bundle.metrics.get("validation")
    known = found.get("referral") if isinstance(found, dict) else None
    why = known.get("reason") if isinstance(known, dict) else ""
    return f"the risk could not be bounded on validation patients{f' ({why})' if why else ''}: every case is referred"


def _apart(value: float, limit: float) -> tuple[str, str]:
    """Both numbers with as few digits (two at least) as keep them apart in print."""
    for digits in range(2, 8):
        pair = f"{value:.{digits}f}", f"{limit:.{digits}f}"
        if pair[0] != pair[1]:
            return pair[0], f"{limit:.2f}" if round(limit, 2) == limit else pair[1]
    return repr(value), repr(limit)
