from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluate import made_pictures

from insula.core.errors import EvaluationError
from insula.core.recipe import OperatingPoint
from insula.core.types import Cohort
from insula.evaluate import elsewhere, looks
from insula.evaluate.around import Asked
from insula.evaluate.elsewhere import Predictions
from insula.evaluate.foreign import evaluate_predictions
from insula.metrics.thresholds import choose


def table(root: Path, cohort: Cohort | None = None, seed: int = 2, **columns: list[str]) -> Path:
    """Predictions for the test cases of a cohort, or for 40 cases of 20 patients."""
    rng = np.random.default_rng(seed)
    if cohort:
        rows = [(c.key, c.patient, int("stroke" in c.labels["answer"])) for c in cohort.of_split("test")]
    else:
        rows = [(f"c{i:02}", f"p{i // 2:02}", i // 2 % 2) for i in range(40)]
    lines = [",".join(["case", "patient", "label", "probability", *columns])]
    for i, (key, patient, y) in enumerate(rows):
        p = float(np.clip(rng.normal(0.35, 0.2) + 0.3 * y, 0.001, 0.999))
        lines.append(",".join([key, patient, str(y), f"{p:.6f}", *(given[i] for given in columns.values())]))
    path = root / "theirs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def load(path: Path, **thresholds: float) -> Predictions:
    return elsewhere.load(path, elsewhere.Question(positive="stroke", thresholds=thresholds))


def test_the_figures_are_those_of_the_table_and_nothing_is_claimed_of_its_model(tmp_path: Path) -> None:
    given = load(table(tmp_path))
    got = evaluate_predictions(given, replicates=50)
    pooled = given.table.groupby("patient").agg(p=("p_stroke", "mean"), y=("y_stroke", "max"))
    assert got.positive.figures["roc_auc"].value == pytest.approx(roc_auc_score(pooled["y"], pooled["p"]))
    assert {g.name: g.verdict for g in got.guards} == {
        "patients": "cannot tell",
        "files": "cannot tell",
        "pictures": "cannot tell",
        "threshold": "pass",
        "plan": "cannot tell",
    }
    assert got.headline.startswith("stroke: ROC-AUC")
    assert got.site is not None
    assert got.site.standing == "not known"
    assert got.source["sha256"] == given.sha256


def test_a_table_without_patients_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("case,label,probability\na,1,0.9\nb,0,0.2\n")
    got = evaluate_predictions(load(path), replicates=20)
    assert "no column 'patient'" in " ".join(got.notes)
    assert "the intervals are too narrow" in " ".join(got.notes)
    assert (got.patient.name, got.patient.rows) == ("case", 2)
    assert got.headline.endswith("; 2 cases, 1 of them positive.")


def test_a_threshold_that_was_tuned_on_the_table_takes_the_headlines_place(tmp_path: Path) -> None:
    path = table(tmp_path)
    plain = load(path).table.groupby("patient").agg(p=("p_stroke", "mean"), y=("y_stroke", "max"))
    best = choose(plain["y"], plain["p"], OperatingPoint(youden=True))
    got = evaluate_predictions(load(path, stroke=best), replicates=20)
    assert got.headline.startswith(f"Optimistic: the threshold {best:.6g} is the best one on these very patients")
    assert evaluate_predictions(load(path, stroke=0.45), replicates=20).optimistic == ()


def test_a_cohort_gives_training_cases_sites_and_files(tmp_path: Path) -> None:
    made = made_pictures.cohort(tmp_path / "scans", 40, 20)
    made = replace(made, cases=tuple(replace(c, attributes={"site": "Oslo"}) for c in made.cases))
    path = table(tmp_path, made)
    record = looks.beside(path)
    asked = Asked(record=record, baselines=True)
    got = evaluate_predictions(load(path), made, 20, asked)
    assert got.baselines is not None
    assert [m.name for m in got.baselines.models] == ["thumbnail"]
    assert set(got.baselines.reasons) == {"metadata", "border", "silhouette"}  # one site, and black edges
    assert got.baselines.models[0].train_patients == 40
    assert got.site is not None
    assert got.site.sites == {"Oslo": 20}
    assert got.source["split"] == "test"
    assert got.looks is not None
    assert got.looks.plan.models == (load(path).id,)
    again = evaluate_predictions(load(table(tmp_path, made, seed=3)), made, 20, asked)
    assert again.looks is not None
    assert (again.looks.number, again.looks.models) == (2, 2)


def test_training_pictures_among_the_predicted_cases_fail_the_split(tmp_path: Path) -> None:
    made = made_pictures.cohort(tmp_path / "scans", 4, 6)
    trained = replace(made, cases=tuple(replace(c, split="train") for c in made.cases))
    got = evaluate_predictions(load(table(tmp_path, made)), trained, 20)
    assert got.optimistic
    assert "the cases of the split 'train'" in got.headline


def test_a_table_that_contradicts_the_cohort_is_refused(tmp_path: Path) -> None:
    made = made_pictures.cohort(tmp_path / "scans", 2, 6)
    given = load(table(tmp_path, made))
    with pytest.raises(EvaluationError, match=r"6 cases of theirs\.csv are not in the cohort, the first 'test-002'"):
        evaluate_predictions(given, replace(made, cases=made.of_split("train")), 20)
    other = replace(made, cases=tuple(replace(c, patient="x") for c in made.cases))
    with pytest.raises(EvaluationError, match="'test-002' is of another patient"):
        evaluate_predictions(given, other, 20)
    told = {"stroke": ("normal",), "normal": ("stroke",)}
    wrong = replace(made, cases=tuple(replace(c, labels={"answer": told[c.labels["answer"][0]]}) for c in made.cases))
    with pytest.raises(EvaluationError, match=r"'test-002' is not 'stroke' in theirs\.csv"):
        evaluate_predictions(given, wrong, 20)


def test_readers_in_the_table_stand_beside_it(tmp_path: Path) -> None:
    given = load(table(tmp_path, reader_Ada=[str(i // 2 % 2) for i in range(40)]))
    got = evaluate_predictions(given, replicates=20, asked=Asked(readers=given.readers))
    assert got.readers is not None
    assert got.readers.readers[0].sensitivity.value == 1.0
