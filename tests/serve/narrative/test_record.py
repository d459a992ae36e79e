from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
from tests.serve.narrative.made_record import EVERY, full, plain, rejected

from insula.core.errors import UsageError
from insula.serve.narrative.record import CaseRecord, Head, Hottest, Reason, Reviewed, Scanned, Spread

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("name", EVERY)
def test_the_made_records_are_records(name: str) -> None:
    assert isinstance(EVERY[name](), CaseRecord)


def test_a_record_has_no_place_for_who_the_patient_is() -> None:
    assert not {"patient", "name", "key", "case", "birth_date", "id", "files"} & {f.name for f in fields(CaseRecord)}


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "a\nb"},
        {"question": "x" * 401},
        {"question": "a\u200bb"},
        {"classes": ("healthy", "healthy", "malignant")},
        {"classes": ("healthy", "benign\n", "malignant")},
        {"classes": ("healthy", "<b>", "malignant")},
        {"model_name": "../model"},
        {"bundle_id": "Doe^Jane"},
        {"target": "tumour; drop"},
        {"label": "glioma"},
        {"label": ""},
        {"probabilities": {"glioma": 0.5}},
        {"probabilities": {"healthy": 1.5}},
        {"probabilities": {"healthy": math.nan}},
        {"confidence": -0.1},
        {"domain_score": 2.0},
        {"labels": ("other",)},
        {"prediction_set": ("other",)},
        {"spread": Spread("dropout", {"other": 0.1})},
        {"spread": Spread("dropout", {"healthy": math.inf})},
        {"action": "maybe"},
        {"side": "left of the patient called Jane"},
        {"reasons": (Reason("because the header says so"),)},
        {"reasons": (Reason("confidence", "0.6 or so", "0.7"),)},
        {"reasons": (Reason("spread", "0.6", "0.7", "dice"),)},  # type: ignore[arg-type]
        {"warnings": ("the header's body part is Jane",)},
        {"reviews": (Reviewed("wonderful"),)},  # type: ignore[arg-type]
        {"reviews": (Reviewed("present", "other"),)},
        {"reviews": (Reviewed("present"),)},
        {"scans": (Scanned("mri of Jane", "MR", 3),)},
        {"scans": (Scanned("mri", "MR and more", 3),)},
        {"scans": (Scanned("mri", "MR", 0),)},
        {"hottest": (Hottest("mri", "other", (1,)),)},
        {"hottest": (Hottest("mri", "benign", (0,)),)},
        {"hottest": (Hottest("mri", "benign", ()),)},
        {"heads": (Head("stage", "classes", {"I": 1.1}),)},
        {"heads": (Head("stage", "guess", {"I": 1.0}),)},  # type: ignore[arg-type]
        {"heads": (Head("survival", "survival", {"event_free_365": 1.2}),)},
        {"heads": (Head("survival", "survival", {"months": 7.0}),)},
        {"heads": (Head("volume", "value", {"ml": 7.0}),)},
        {"heads": (Head("volume", "value", {"value": math.nan}),)},
        {"heads": (Head("a\nb", "value", {"value": 1.0}),)},
    ],
)
def test_a_value_that_no_recipe_or_model_gives_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        full(**changed)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"label": "malignant"},
        {"probabilities": {"malignant": 0.5}},
        {"prediction_set": ("malignant",)},
        {"labels": ("malignant",)},
        {"hottest": (Hottest("mri", "malignant", (1,)),)},
        {"heads": full().heads},
        {"spread": full().spread},
        {"confidence": 0.5},
    ],
)
def test_a_rejected_scan_has_no_answer(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="rejected"):
        rejected(**changed)


def test_names_in_any_writing_are_taken_as_the_recipe_takes_them() -> None:
    assert plain(classes=("sağlıklı", "healthy", "benign", "malignant", "grade 3+")).classes[0] == "sağlıklı"
