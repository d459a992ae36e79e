from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tests.evaluate.made_tables import binary, binary_facts
from tests.evaluate.scripted import Scripted, case, cohort

from insula.bundle.types import Bundle
from insula.evaluate.gallery import gallery, pick
from insula.evaluate.run import evaluate, evaluate_table


def test_of_errors_the_worst_are_picked_and_of_right_answers_the_middle() -> None:
    ill, well = [0.1, 0.4, 0.2, 0.3, 0.6, 0.9, 0.7, 0.99, 0.8], [0.95, 0.55, 0.7, 0.01, 0.2, 0.3, 0.4]
    report = evaluate_table(binary([1] * len(ill) + [0] * len(well), ill + well), binary_facts(0.5), 20)
    chance = dict(zip(report.table["case"], report.table["p_stroke"], strict=True))
    got = {name: [chance[key] for key in keys] for name, keys in pick(report, 2).items()}
    assert got == {"TP": [0.7, 0.8], "FN": [0.1, 0.2], "FP": [0.95, 0.7], "TN": [0.2, 0.3]}
    assert pick(report, 99)["FN"] == ("c000", "c002", "c003", "c001")


def test_pictures_show_the_slice_with_most_heat_and_a_missing_scan_its_reason(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    array = np.full((3, 24, 24), 40, np.float32)
    for key in ("a", "b"):
        np.savez(tmp_path / f"{key}.npz", array=array, units="HU")
    made = cohort(case("a", "q1"), case("b", "q2", "normal"), case("gone", "q3"), root=str(tmp_path))
    heat = np.zeros((3, 4, 4), np.float32)
    heat[1, 0, 0], heat[2, 3, 3] = 1.0, 0.5
    predictor = Scripted({"a": 0.8, "b": 0.1, "gone": 0.9}, heat=heat)
    bundle = tiny_bundle()
    report = evaluate(bundle, made, predictor=predictor, replicates=20)
    items = gallery(report, bundle, made, predictor=predictor)
    found = {item.key: item for item in items}
    assert found["a"].caption == "a, slice 2 of 3, p(stroke) = 0.80"
    assert found["b"].caption == "b, slice 2 of 3, p(stroke) = 0.10"
    assert [found[key].outcome for key in ("a", "b", "gone")] == ["TP", "TN", "TP"]
    assert found["gone"].caption.startswith("gone, p(stroke) = 0.90; no picture: ")
    assert found["gone"].png == b""
    drawn = np.asarray(Image.open(io.BytesIO(found["a"].png)))[:16, :16].astype(int)
    coloured = np.ptp(drawn, axis=2) > 0
    assert coloured[:4, :4].all()
    assert not coloured[8:, 8:].any()


def test_weak_heat_looks_weak_and_a_very_hot_case_does_not_darken_the_others(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    array = np.full((1, 24, 24), 40, np.float32)
    keys = ("a", "b", "c", "hot")
    for key in keys:
        np.savez(tmp_path / f"{key}.npz", array=array, units="HU")
    made = cohort(*(case(key, key) for key in keys[:3]), case("hot", "hot"), root=str(tmp_path))
    peaks = {"a": 1.0, "b": 2.0, "c": 4.0, "hot": 50.0}
    heats = {key: np.full((1, 4, 4), top, np.float32) for key, top in peaks.items()}
    predictor = Scripted({"a": 0.7, "b": 0.8, "c": 0.9, "hot": 0.1}, heat=heats)
    bundle = tiny_bundle()
    report = evaluate(bundle, made, predictor=predictor, replicates=20)
    tops = {
        item.key: float(Image.open(io.BytesIO(item.png)).text["Heat at the bar's top"])  # type: ignore[attr-defined]
        for item in gallery(report, bundle, made, predictor=predictor)
    }
    assert tops == {"a": 2.0, "b": 2.0, "c": 4.0, "hot": 50.0}


def test_a_caption_tells_what_all_cases_of_the_patient_come_to(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    for key in "abc":
        np.savez(tmp_path / f"{key}.npz", array=np.full((1, 24, 24), 40, np.float32), units="HU")
    made = cohort(case("a", "p"), case("b", "p"), case("c", "q", "normal"), root=str(tmp_path))
    bundle, predictor = tiny_bundle(), Scripted({"a": 0.9, "b": 0.3, "c": 0.2})
    report = evaluate(bundle, made, predictor=predictor, replicates=20)
    found = {item.key: item for item in gallery(report, bundle, made, predictor=predictor)}
    assert found["b"].outcome == "FN"
    assert found["b"].caption.startswith("b, p(stroke) = 0.30; all 2 cases of the patient 0.60")
    assert found["c"].caption.startswith("c, p(stroke) = 0.20")
    assert "of the patient" not in found["c"].caption
    assert "count 2 patients; policy" in " ".join(report.notes)
