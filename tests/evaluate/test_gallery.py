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


def test_pictures_show_the_slice_with_most_heat_and_missing_scans_none(
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
    assert [(item.key, item.outcome, item.caption) for item in items] == [
        ("a", "TP", "a, slice 2 of 3, p(stroke) = 0.80"),
        ("b", "TN", "b, slice 2 of 3, p(stroke) = 0.10"),
    ]
    drawn = np.asarray(Image.open(io.BytesIO(items[0].png)))[:16, :16].astype(int)
    coloured = np.ptp(drawn, axis=2) > 0
    assert coloured[:4, :4].all()
    assert not coloured[8:, 8:].any()
