import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from insula.core.errors import TrainingError
from insula.core.types import Case, Cohort, Split
from insula.train.pretrain_record import RECORD, WEIGHTS, refuse_seen, write_record

pytestmark = pytest.mark.train


def cohort(**splits: Split) -> Cohort:
    cases = tuple(Case(f"{p}-scan", p, {}, {}, split=split) for p, split in splits.items())
    return Cohort(cases, "root", "patient")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file({"encoder.w": torch.ones(2)}, tmp_path / WEIGHTS)
    write_record(tmp_path, ["anna", "bert", "anna"], epochs=3)
    return tmp_path / WEIGHTS


def test_patients_stand_in_the_record_without_their_names(weights: Path) -> None:
    text = weights.with_name(RECORD).read_text()
    assert "anna" not in text
    assert len(json.loads(text)["patients"]) == 2


def test_an_encoder_that_saw_a_test_patient_is_refused(weights: Path) -> None:
    refuse_seen(str(weights), cohort(anna="train", bert="train", carl="test"))
    with pytest.raises(TrainingError, match="1 of the 2 patients of the val and test"):
        refuse_seen(str(weights), cohort(anna="train", bert="test", carl="val"))
    with pytest.raises(TrainingError, match="1 of the 1 patients"):
        refuse_seen(f"{weights}#encoder", cohort(anna="val"))


def test_weights_that_say_nothing_are_taken(weights: Path, tmp_path: Path) -> None:
    held = cohort(anna="test")
    refuse_seen(True, held)
    refuse_seen(False, held)
    save_file({"encoder.w": torch.zeros(2)}, weights)  # other weights than the record's
    refuse_seen(str(weights), held)
    weights.with_name(RECORD).write_text("{")
    with pytest.raises(TrainingError, match="pretrain it again"):
        refuse_seen(str(weights), held)
    weights.with_name(RECORD).unlink()
    refuse_seen(str(weights), held)
