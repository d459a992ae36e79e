from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk
from tests.evaluate.scripted import Scripted, case, cohort, pairs

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError
from insula.core.recipe_policy import Source
from insula.core.types import Case, Cohort, Prediction, Scan
from insula.evaluate.run import evaluate
from insula.infer.decide import decide
from insula.infer.predict import Predictor

Make = Callable[..., Bundle]


def scans(root: Path, count: int = 10) -> Cohort:
    """CT arrays of two cases a patient, brighter where they are a stroke."""
    rng = np.random.default_rng(0)
    cases = []
    for i in range(count):
        stroke = i // 2 % 2
        array = rng.normal(20 + 8 * i, 20 + 5 * i, (3, 24, 24)).astype(np.float32)
        np.savez(root / f"{i}.npz", array=array, units="HU")
        labels = {"answer": (("normal", "stroke")[stroke],)}
        cases.append(Case(f"c{i}", f"q{i // 2}", {"ct": Scan((f"{i}.npz",), "npz")}, labels, split="test"))
    return Cohort(tuple(cases), str(root), "patient")


def test_the_table_holds_what_the_predictor_of_the_service_says(tiny_bundle: Make, tmp_path: Path) -> None:
    bundle, made = tiny_bundle(), scans(tmp_path)
    table = evaluate(bundle, made, replicates=20).table.set_index("case")
    assert list(table.index) == [c.key for c in made.cases]
    predictor = Predictor(bundle)
    for one in made.cases[::3]:
        want = predictor.case(one, tmp_path, passes=bundle.recipe.policy.passes)
        assert want.spread is not None
        row = table.loc[one.key]
        np.testing.assert_array_equal([row["p_normal"], row["p_stroke"]], want.probabilities)
        np.testing.assert_array_equal([row["spread_normal"], row["spread_stroke"]], want.spread)
        assert row["domain_score"] == want.domain_score
    assert table["p_stroke"].max() - table["p_stroke"].min() > 0.05  # the scans do differ


def test_the_numbers_of_the_report_follow_from_its_table(tiny_bundle: Make) -> None:
    made, script = pairs()
    report = evaluate(tiny_bundle(), made, predictor=Scripted(script), replicates=100)
    written = report.to_dict()
    cases = report.table
    patients = cases.groupby("patient").agg(p=("p_stroke", "mean"), y=("y_stroke", "max"))
    for name, y, p in (("case", cases["y_stroke"], cases["p_stroke"]), ("patient", patients["y"], patients["p"])):
        found = written[name]["classes"]["stroke"]
        called = p >= 0.5
        want = {
            "roc_auc": sk.roc_auc_score(y, p),
            "pr_auc": sk.average_precision_score(y, p),
            "sensitivity": sk.recall_score(y, called),
            "specificity": sk.recall_score(~y, ~called),
            "f2": sk.fbeta_score(y, called, beta=2),
            "brier": sk.brier_score_loss(y, p),
            "log_loss": sk.log_loss(y, p),
        }
        assert {key: found["figures"][key]["value"] for key in want} == pytest.approx(want)
        assert [[found["tn"], found["fp"]], [found["fn"], found["tp"]]] == sk.confusion_matrix(y, called).tolist()
        for key in want:
            low, high = found["figures"][key]["interval"]
            assert low <= found["figures"][key]["value"] <= high
    assert (written["patient"]["rows"], written["case"]["rows"], written["case"]["patients"]) == (12, 24, 12)
    se, sp = (written["patient"]["classes"]["stroke"]["figures"][key] for key in ("sensitivity", "specificity"))
    for row in written["prevalence"]:
        ill, well = row["prevalence"], 1 - row["prevalence"]
        true, false = se["value"] * ill, (1 - sp["value"]) * well
        assert row["ppv"][0] == pytest.approx(true / (true + false))
    assert f"ROC-AUC {sk.roc_auc_score(patients['y'], patients['p']):.3f}" in report.headline
    assert "12 patients, 6 of them positive" in report.headline


def test_one_case_a_patient_needs_no_second_level(tiny_bundle: Make) -> None:
    made = cohort(case("a", "p1"), case("b", "p2", "normal"))
    report = evaluate(tiny_bundle(), made, predictor=Scripted({"a": 0.8, "b": 0.1}), replicates=20)
    assert report.case is None
    assert report.patient.rows == 2


def test_what_fails_and_what_is_not_labelled_is_said_and_left_out(tiny_bundle: Make) -> None:
    made = cohort(case("a", "q1"), case("bad", "q2"), case("c", "q3", "normal"), case("d", "q4", ""))
    predictor = Scripted({"a": 0.8, "c": 0.1, "d": 0.5})
    report = evaluate(tiny_bundle(), made, predictor=predictor, replicates=20)
    assert list(report.table["case"]) == ["a", "c"]
    assert [(f.case, f.reason, f.rejected) for f in report.failures] == [("bad", "bad is no head CT", True)]
    assert [note for note in report.notes if note.startswith("1 cases without a label for 'answer'")]
    assert "d" not in [key for key, _ in predictor.asked]


def test_a_patient_with_different_labels_is_said(tiny_bundle: Make) -> None:
    made = cohort(case("a", "q1"), case("b", "q1", "normal"), case("c", "q2", "normal"))
    report = evaluate(tiny_bundle(), made, predictor=Scripted({"a": 0.8, "b": 0.1, "c": 0.2}), replicates=20)
    told = "1 patient has cases with different labels (q1) and counts as stroke where any case is stroke."
    assert told in report.notes
    assert report.positive.tp + report.positive.fn == 1


def test_the_shares_of_accepted_and_referred_cases_follow_the_policy(tiny_bundle: Make) -> None:
    bundle = tiny_bundle(refer={"confidence": 0.7, "spread": 1.0, "domain": 0.99})
    made = cohort(*(case(key, f"q{key}", "stroke" if key < "d" else "normal") for key in "abcdef"))
    script = {"a": 0.9, "b": 0.6, "c": 0.2, "d": 0.8, "e": 0.1, "f": 0.45}
    report = evaluate(bundle, made, predictor=Scripted(script), replicates=20)
    assert dict(zip(report.table["case"], report.table["action"], strict=True)) == {
        "a": "accept", "b": "refer", "c": "accept", "d": "accept", "e": "accept", "f": "refer",
    }  # fmt: skip
    assert report.coverage is not None
    found = {name: (figure.events, figure.n) for name, figure in report.coverage.items()}
    assert found["accepted"] == (4, 6)
    assert found["referred"] == (2, 6)
    assert found["accuracy_of_all"] == (4, 6)  # a, b, e, f
    assert found["accuracy_of_accepted"] == (2, 4)  # a, e
    assert found["sensitivity_of_accepted"] == (1, 2)  # a, not c
    told = report.table.set_index("case")
    assert told["reasons"].to_dict() == {
        "a": "", "b": "confidence 0.60 is below 0.70", "c": "", "d": "", "e": "", "f": "confidence 0.55 is below 0.70",
    }  # fmt: skip
    assert told["reason_kinds"].to_dict() == {**dict.fromkeys("acde", ""), "b": "confidence", "f": "confidence"}


def test_the_rejected_count_among_the_shares_whether_the_model_was_asked_or_not(tiny_bundle: Make) -> None:
    made = cohort(*(case(key, f"q{key}", "normal") for key in "abcd"), case("photo", "qa"), case("lost", "qb"))

    class Sorted(Scripted):
        def case(self, case: Case, root: Path, passes: int = 0, ask: Collection[Source] = ()) -> Prediction:
            if case.key == "lost":
                raise OSError("no such file")
            return replace(super().case(case, root, passes), distances={"all": 9.0 if case.key == "d" else 0.3})

    predictor = Sorted({"a": 0.1, "b": 0.1, "c": 0.45, "d": 0.1})
    bundle = tiny_bundle(refer={"spread": 1.0})
    report = evaluate(bundle, made, predictor=predictor, replicates=20)
    assert report.coverage is not None
    found = {name: (figure.events, figure.n) for name, figure in report.coverage.items()}
    assert [found[name] for name in ("accepted", "referred", "rejected")] == [(2, 5), (1, 5), (2, 5)]
    assert report.coverage["rejected"].patients == 4  # the photo is a's
    assert found["accuracy_of_all"] == (4, 4)
    assert found["accuracy_of_accepted"] == (2, 2)
    assert [(f.case, f.rejected, f.kind) for f in report.failures] == [
        ("photo", True, "unsuitable_scan"), ("lost", False, ""),
    ]  # fmt: skip
    assert report.held_back is not None
    assert [(one.action, one.kind, one.share.events, one.share.n) for one in report.held_back.reasons] == [
        ("refer", "confidence", 1, 5), ("reject", "distance", 1, 5), ("reject", "unsuitable_scan", 1, 5),
    ]  # fmt: skip
    assert report.table["reasons"].tolist()[2] == "confidence 0.55 is below 0.70"
    assert "9.00 times as far" in report.table["reasons"].tolist()[3]
    assert report.table["distance"].tolist() == [0.3, 0.3, 0.3, 9.0]


def test_the_table_holds_each_source_and_the_policys_own_is_always_asked_for(tiny_bundle: Make, tmp_path: Path) -> None:
    bundle = tiny_bundle(refer={"by": "views", "mutual_information": 0.0})
    made = scans(tmp_path, 4)
    table = evaluate(bundle, made, replicates=20).table.set_index("case")
    predictor = Predictor(bundle)
    for one in made.cases[::2]:
        want = predictor.case(one, tmp_path, ask=("dropout", "views"))
        row = table.loc[one.key]
        for source in ("dropout", "views"):
            sure = want.uncertainty[source]
            assert row[f"entropy_{source}"] == sure.entropy
            assert row[f"mutual_information_{source}"] == sure.mutual_information
        np.testing.assert_array_equal(
            [row["spread_views_normal"], row["spread_views_stroke"]], want.uncertainty["views"].spread
        )
        assert row["action"] == decide(want, bundle).action == "refer"
    assert not any("members" in name for name in table.columns)


@pytest.mark.parametrize(("domain", "beyond"), [(1.0, (1.0, 1.0)), (0.6, (0.0, 1.0)), (0.4, (0.0, 0.0))])
def test_the_share_of_unlike_scans(tiny_bundle: Make, domain: float, beyond: tuple[float, float]) -> None:
    made, script = pairs(4)
    report = evaluate(tiny_bundle(), made, predictor=Scripted(script, domain), replicates=20)
    assert report.domain is not None
    assert (report.domain["beyond_limit"].value, report.domain["beyond_median"].value) == beyond


@pytest.mark.parametrize(("passes", "asked", "spread"), [(None, 12, 0.25), (0, 0, np.nan), (5, 5, 0.25)])
def test_the_passes_are_the_policys_unless_asked(
    tiny_bundle: Make, passes: int | None, asked: int, spread: float
) -> None:
    made, script = pairs(2)
    predictor = Scripted(script)
    report = evaluate(tiny_bundle(), made, predictor=predictor, passes=passes, replicates=20)
    assert {count for _, count in predictor.asked} == {asked}
    np.testing.assert_array_equal(report.table["spread_stroke"], spread)
    assert report.source["passes"] == asked


def test_a_split_takes_its_cases_and_all_takes_every_case(tiny_bundle: Make) -> None:
    made = cohort(case("a", "q1", split="test"), case("b", "q2", "normal", "val"), case("c", "q3", split=""))
    script = {"a": 0.8, "b": 0.1, "c": 0.2}
    seen: dict[str, list[str]] = {}
    for split in ("test", "val", "all"):
        predictor = Scripted(script)
        evaluate(tiny_bundle(), made, split, predictor=predictor, replicates=20)
        seen[split] = [key for key, _ in predictor.asked]
    assert seen == {"test": ["a"], "val": ["b"], "all": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("made", "split", "said"),
    [
        (cohort(case("a", "q1")), "tset", "no split 'tset'"),
        (cohort(case("a", "q1")), "val", "no case in the split 'val'"),
        (cohort(case("a", "q1", "")), "test", "Not one of 1 cases is labelled"),
        (cohort(case("a", "q1", "tumour")), "test", "1 case with no class of the bundle: .*, the first 'tumour'"),
        (cohort(case("bad", "q1")), "test", "Not one of 1 cases could be predicted.*bad is no head CT"),
    ],
)
def test_a_cohort_that_cannot_be_judged_is_refused(tiny_bundle: Make, made: Cohort, split: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        evaluate(tiny_bundle(), made, split, predictor=Scripted({"a": 0.5}))


def test_the_cases_pass_through_the_progress_bar(tiny_bundle: Make) -> None:
    made, script = pairs(3)
    shown: list[str] = []

    def bar(cases: object) -> list[Case]:
        assert isinstance(cases, list)
        shown.extend(one.key for one in cases)
        return cases

    evaluate(tiny_bundle(), made, progress=bar, predictor=Scripted(script), replicates=20)
    assert shown == sorted(script)
