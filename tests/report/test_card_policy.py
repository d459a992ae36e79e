from __future__ import annotations

from typing import Any

import pytest
from tests import tiny_bundle

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.report.card import model_card
from insula.report.card_policy import decided, out_of_scope
from insula.report.record import described

CHOSEN = {"thresholds": {"normal": 0.5, "stroke": 0.3125}, "temperature": 1.5, "patients": 37}


def plain(**policy: Any) -> dict[str, Any]:
    content = tiny_bundle.recipe().model_dump(mode="json", by_alias=True)
    content["policy"] = content["policy"] | policy
    recipe: dict[str, Any] = described(recipes.parse(content, "x"))["recipe"]
    return recipe


def test_thresholds_stand_with_their_aim_and_on_whom_they_were_chosen() -> None:
    said = decided(plain(operating_point={"sensitivity": 0.95}), CHOSEN)
    assert said["present from a probability of"] == "normal 0.5, stroke 0.3125"
    assert said["chosen"] == "for a sensitivity of 0.95, on 37 validation patients"
    assert said["calibration"] == "a temperature of 1.5"
    assert decided(plain(calibration="logistic"), CHOSEN)["calibration"] == "a temperature of 1.5, then logistic"


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"specificity": 0.9}, "a specificity of 0.9"),
        ({"youden": True}, "Youden"),
        ({"f2": True}, "F2"),
        ({"cost": 20}, "20 false alarms"),
    ],
)
def test_each_aim_of_the_operating_point_is_told(point: dict[str, Any], words: str) -> None:
    assert words in decided(plain(operating_point=point), {})["chosen"]


def test_what_was_not_chosen_is_not_told() -> None:
    said = decided(plain(), {})
    assert "present from a probability of" not in said
    assert "calibration" not in said
    assert "patients" not in said["chosen"]


def test_a_limit_that_is_switched_off_is_not_told() -> None:
    on = decided(plain(), CHOSEN)
    assert "spread over dropout passes above 0.1" in on["refers to a person"]
    assert "distance" in on["gives no answer"]
    off = decided(
        plain(
            refer={"confidence": 0.8, "spread": None, "by": "views", "entropy": 0.2},
            refuse={"body_parts": [], "shrink": None, "aspect": None, "varied": None, "distance": None},
        ),
        CHOSEN,
    )
    assert off["refers to a person"].startswith("confidence below 0.8; entropy over views of the scan above 0.2; ")
    assert "spread" not in off["refers to a person"]
    assert off["gives no answer"] == "another modality; a colour picture where grey scans are taken; a blank scan"


def test_out_of_scope_names_the_classes_and_the_scans() -> None:
    said = " ".join(out_of_scope(plain()))
    assert "normal, stroke" in said
    assert "CT" in said
    assert "Diagnosis" in said


def test_the_card_of_a_control_says_that_it_is_one() -> None:
    recipe: Recipe = tiny_bundle.recipe()
    assert "A control" in model_card(recipe, {}, provenance={"shuffled_labels": True})
    assert "A control" not in model_card(recipe, {}, provenance={"seed": 3})


def test_origin_tells_seed_versions_and_weights_and_nothing_else_of_the_machine() -> None:
    text = model_card(
        tiny_bundle.recipe(),
        {},
        provenance={"seed": 3, "weights_sha256": "ab12", "packages": {"numpy": "2.4"}, "user": "somebody"},
    )
    for line in ("- seed: 3", "- weights sha256: ab12", "- packages: numpy 2.4"):
        assert line in text
    assert "somebody" not in text
