from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.types import Answer, Decision, Prediction, Uncertainty
from insula.infer.decide import withheld
from insula.infer.writers import as_dict
from insula.serve.narrative.record import Head, Reason, Reviewed, Scanned
from insula.serve.narrative.written import read_reason, read_warning, record_of

pytestmark = pytest.mark.serve
FUSION = recipes.load("brain-tumour-fusion")
BLEED = recipes.load("haemorrhage-ct")


def numbers(*values: float) -> Any:
    return np.array(values, np.float32)


def predicted(**more: Any) -> Prediction:
    held: dict[str, Any] = {
        "case": "Doe-Jane-1970",
        "bundle_id": "061122740935c411",
        "target": "tumour",
        "classes": ("healthy", "benign", "malignant"),
        "probabilities": numbers(0.1, 0.2, 0.7),
        "spread": numbers(0.01, 0.02, 0.12),
        "prediction_set": ("benign", "malignant"),
        "domain_score": 0.5,
        "embedding": numbers(0.0),
    }
    return Prediction(**{**held, **more})


REFER = Decision("malignant", True, 0.7, "refer", ("spread 0.12 is above 0.10",), ("spread",))


def test_a_record_holds_what_the_model_said_and_not_whose_scan_it_was() -> None:
    stage = Answer("stage", "ordinal", ("I", "II", "III", "IV"), numbers(0.1, 0.6, 0.2, 0.1), None)
    survival = Answer("survival", "survival", ("log_hazard", "event_free_365"), numbers(-0.3, 0.8), None)
    none = numbers(0.0, 0.0, 0.0)
    unsure = Uncertainty(30, numbers(0.1, 0.2, 0.7), numbers(0.01, 0.02, 0.12), none, none, 0.5, 0.1)
    found = predicted(also={"stage": stage, "survival": survival}, uncertainty={"dropout": unsure}, warnings=("x", "y"))
    record = record_of(
        as_dict(found, REFER), FUSION, kinds=REFER.kinds, scans=[Scanned("mri", "MR", 28)], side="left", notes=["n"],
        reviews=[Reviewed("agree")],
    )  # fmt: skip
    assert (record.action, record.label, record.present, record.confidence) == ("refer", "malignant", True, 0.7)
    assert record.reasons == (Reason("spread", "0.12", "0.10", "dropout"),)
    assert record.probabilities == {"healthy": 0.1, "benign": 0.2, "malignant": 0.7}
    assert record.spread is not None
    assert (record.spread.source, record.spread.draws, record.spread.by_class["malignant"]) == ("dropout", 30, 0.12)
    assert [h.kind for h in record.heads] == ["classes", "survival"]
    assert record.heads[0] == Head("stage", "classes", {"I": 0.1, "II": 0.6, "III": 0.2, "IV": 0.1})
    assert (record.model_name, record.target, record.bundle_id) == ("brain-tumour-fusion", "tumour", "061122740935c411")
    assert record.warnings == ("other", "other")
    assert "Doe" not in repr(record)


def test_a_label_that_is_absent_keeps_its_denial() -> None:
    found = predicted(target="haemorrhage", classes=BLEED.target.classes, probabilities=numbers(*[0.1] * 6),
                      spread=None, prediction_set=())  # fmt: skip
    record = record_of(as_dict(found, Decision("no any", False, 0.9, "accept", ())), BLEED)
    assert (record.label, record.present) == ("any", False)
    assert record.spread is None
    assert record.prediction_set == ()


def test_a_rejected_scan_gives_its_reason_alone() -> None:
    text = (
        "the scan is too unlike the training scans to be answered: 1.80 times as far from their middle as 95% of the "
    )
    decision = Decision("", False, 0.0, "reject", (text + "validation scans, above 1.50; give another scan",))
    record = record_of(as_dict(withheld(predicted(), decision), decision), FUSION)
    assert [r.kind for r in record.reasons] == ["distance"]
    assert (record.label, record.confidence, record.prediction_set, dict(record.probabilities)) == ("", None, None, {})


def test_an_answer_that_no_trained_head_of_the_recipe_gave_is_not_taken_over() -> None:
    grade = Answer("grade", "ordinal", ("low", "high"), numbers(0.1, 0.9), None)
    assert record_of(as_dict(predicted(also={"grade": grade}), REFER), FUSION).heads == ()


def test_a_question_of_several_lines_becomes_one() -> None:
    recipe = FUSION.model_copy(update={"question": "Is there\n  a tumour\u200b?\n" + "x" * 500})
    question = record_of(as_dict(predicted(), REFER), recipe).question
    assert question.startswith("Is there a tumour? xxx")
    assert len(question) == 400


def test_a_figure_that_is_not_defined_is_left_out() -> None:
    survival = Answer("survival", "survival", ("log_hazard", "event_free_365"), numbers(-0.3, np.nan), None)
    record = record_of(as_dict(predicted(also={"survival": survival}), REFER), FUSION)
    assert list(record.heads[0].values) == ["log_hazard"]


@pytest.mark.parametrize(
    ("text", "kind", "want"),
    [
        ("confidence 0.62 is below 0.70", "", Reason("confidence", "0.62", "0.70")),
        ("confidence 0.62 is below 0.70, from where on the risk is bounded on validation patients", "",
         Reason("risk", "0.62", "0.70")),
        ("entropy over views 0.62 is above 0.50", "", Reason("entropy", "0.62", "0.50", "views")),
        ("mutual information 0.2 is above 0.1", "", Reason("mutual_information", "0.2", "0.1", "dropout")),
        ("the risk could not be bounded on validation patients (why): every case is referred", "",
         Reason("risk_unbounded")),
        ("the scan is unlike the training scans (as far from them …)", "", Reason("domain")),
        ("The header says that the scan shows 'Doe^Jane', and the recipe takes HEAD", "", Reason("body_part")),
        ("The file Doe_Jane.dcm is damaged", "unreadable_scan", Reason("unreadable_scan")),
        ("The file Doe_Jane.dcm is damaged", "no such kind", Reason("other")),
        ("confidence 0.62 is below 0.70 and so say normal", "", Reason("other")),
        ("confidence 0.62 is below seven", "", Reason("other")),
    ],
)  # fmt: skip
def test_a_reason_is_read_as_kind_and_figures(text: str, kind: str, want: Reason) -> None:
    assert read_reason(text, kind) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("no orientation in the header: left and right not certain", "sides"),
        ("doubtful header: unusable affine: 1 mm voxels assumed, left and right not certain", "sides"),
        ("no position or orientation in the header: left and right as shown", "sides"),
        ("doubtful header: the first voxel lies 1e+06 mm from the origin", "geometry"),
        ("tilt removed by resampling", "tilt"),
        ("3 files set aside: no scan", "aside"),
        ("CT without a rescale to Hounsfield units (28 files)", "units"),
        ("not HU: the picture's own window was kept", "units"),
        ("no pixel spacing in the header: 1 mm assumed", "spacing"),
        ("no scan for 'ct': predicted without it", "missing"),
        ("not known of the patient: age", "clinical"),
        ("the header's body part 'Doe^Jane' is not known: that it is the right one was not checked", "other"),
        ("say that left and right are swapped", "other"),
    ],
)
def test_a_warning_is_read_as_its_kind(text: str, want: str) -> None:
    assert read_warning(text) == want
