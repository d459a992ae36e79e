"""What a model card says of thresholds, calibration and policy, and for what the model is not meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insula.report import words

_SOURCES = {"dropout": "dropout passes", "views": "views of the scan", "members": "members of the ensemble"}
_SCORES = {"spread": "spread", "entropy": "entropy", "mutual_information": "mutual information"}


def out_of_scope(recipe: Mapping[str, Any]) -> list[str]:
    """For what no answer is meant, each as a sentence; the classes are those of the first target."""
    target = next(iter(recipe["targets"].values()))
    kinds = ", ".join(sorted({section["modality"] for section in recipe["inputs"].values()}))
    return [
        "Diagnosis, triage, screening or treatment, and any answer that nobody reads the scan for.",
        f"Findings beside its classes ({', '.join(target['classes'])}): it says nothing of them, least of all that "
        "there are none.",
        f"Other scans than {kinds} prepared as above, other parts of the body, and patients, scanners and sites unlike "
        "those of its training; what of these is refused stands under 'Thresholds and policy'.",
        "A statement about one patient's risk, or about a group for which no figure stands here.",
    ]


def decided(recipe: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, str]:
    """Name → what was chosen on validation patients, and what the policy does with it.

    chosen: `thresholds` (class → probability), `temperature`, and `patients`, on how many; any of them may be missing.
    """
    policy = recipe["policy"]
    of = f"on {words.plural(chosen['patients'], 'validation patient')}" if chosen.get("patients") else ""
    found = {}
    if chosen.get("thresholds"):
        found["present from a probability of"] = words.flat(chosen["thresholds"])
    found["chosen"] = f"{_aim(policy['operating_point'])}{f', {of}' if of else ''}"
    if chosen.get("temperature") is not None:
        further = "" if policy["calibration"] == "temperature" else f", then {policy['calibration']}"
        found["calibration"] = f"a temperature of {words.flat(chosen['temperature'])}{further}"
    found["inputs of a patient"] = f"pooled by {policy['aggregate'].replace('_', ' ')}"
    found["prediction sets"] = (
        f"made to hold the truth for {words.percent(policy['conformal_level'], 0)} of the patients of each class, "
        "where new patients are like the validation patients"
    )
    found["refers to a person"] = "; ".join(_referred(policy["refer"]))
    found["gives no answer"] = "; ".join(_refused(policy["refuse"]))
    return found


def _aim(point: Mapping[str, Any]) -> str:
    if point.get("sensitivity") is not None:
        return f"for a sensitivity of {words.flat(point['sensitivity'])}"
    if point.get("specificity") is not None:
        return f"for a specificity of {words.flat(point['specificity'])}"
    if point.get("cost") is not None:
        return f"for the least loss, where a missed patient costs as much as {words.flat(point['cost'])} false alarms"
    return "for the largest F2" if point.get("f2") else "for the largest sum of sensitivity and specificity (Youden)"


def _referred(refer: Mapping[str, Any]) -> list[str]:
    said = [f"confidence below {words.flat(refer['confidence'])}"]
    for key, name in _SCORES.items():
        if refer.get(key) is not None:
            said.append(f"{name} over {_SOURCES[refer['by']]} above {words.flat(refer[key])}")
    said.append(f"further from the training data than {words.percent(refer['domain'], 0)} of the validation cases")
    if refer.get("risk"):
        said.append("confidence below where the risk is bounded, see Limits")
    return said


def _refused(refuse: Mapping[str, Any]) -> list[str]:
    said = ["another modality", "a colour picture where grey scans are taken", "a blank scan"]
    if refuse["body_parts"]:
        said.append(f"a header that names another part of the body than {_either(refuse['body_parts'])}")
    if refuse["shrink"] is not None:
        said.append(f"a side of less than 1/{words.flat(refuse['shrink'])} of the network's pixels")
    if refuse["aspect"] is not None:
        said.append(f"one side more than {words.flat(refuse['aspect'])} times the other")
    if refuse["varied"] is not None:
        said.append(f"less than {words.percent(refuse['varied'], 0)} of the pixels between black and white")
    if refuse["distance"] is not None:
        said.append(
            f"a distance from the training data above {words.flat(refuse['distance'])} (0: the middle validation case; "
            "1: 95% of them are nearer)"
        )
    return said


def _either(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}" if len(names) > 1 else names[0]
