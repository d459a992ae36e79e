from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insula.core.errors import EvaluationError
from insula.core.provenance import sha256_file
from insula.evaluate import elsewhere
from insula.evaluate.elsewhere import Predictions, Question


def load(tmp_path: Path, text: str, asked: Question | None = None) -> Predictions:
    path = tmp_path / "site-b.csv"
    path.write_text(text)
    return elsewhere.load(path, asked or Question())


def test_two_classes_by_one_and_zero(tmp_path: Path) -> None:
    got = load(tmp_path, "case,patient,label,probability,site\na,p1,1,0.8,Oslo\nb,p1,0,0.3,\nc,p2,0,1e-3,Lyon\n")
    assert (got.facts.kind, got.facts.classes, got.facts.positive) == ("binary", ("negative", "positive"), "positive")
    np.testing.assert_allclose(got.table[["p_negative", "p_positive"]], [[0.2, 0.8], [0.7, 0.3], [0.999, 0.001]])
    assert got.table["y_positive"].tolist() == [True, False, False]
    assert got.table["patient"].tolist() == ["p1", "p1", "p2"]
    assert [dict(case.attributes) for case in got.cases] == [{"site": "Oslo"}, {}, {"site": "Lyon"}]
    assert got.cases[0].labels == {"label": ("positive",)}
    assert got.patient_ids
    assert got.sha256 == sha256_file(tmp_path / "site-b.csv")
    assert got.facts.threshold("positive") == 0.5


def test_predictions_are_the_same_in_another_order_and_file(tmp_path: Path) -> None:
    head = "case,patient,label,probability\n"
    first = load(tmp_path, head + "a,p1,1,0.8\nb,p1,0,0.3\n")
    assert load(tmp_path, head + "b,p1,0,0.3\na,p1,1,0.80\n").id == first.id
    assert load(tmp_path, head + "a,p1,1,0.8\nb,p1,0,0.31\n").id != first.id


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("case,pateint,label,probability", "no column 'patient' .did you mean 'pateint'"),
        ("case,Patient_ID,label,probability", "no column 'patient' .did you mean 'Patient_ID'"),
        ("case,Patient,label,probability", "did you mean 'Patient'"),
        ("Case ID,patient,label,probability", "no column 'case' .did you mean 'Case ID'"),
        ("case,patient,labels,probability", "no column 'label' .did you mean 'labels'"),
        ("case,patient,label,probabilty", "no column 'probability' .did you mean 'probabilty'"),
    ],
)
def test_a_misspelt_column_is_asked_about(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        load(tmp_path, f"{header}\na,p1,1,0.8\nb,p1,0,0.3\n")


def test_a_fact_that_only_sounds_like_it_is_a_fact(tmp_path: Path) -> None:
    got = load(tmp_path, "case,label,probability,inpatient,inpatient_days\na,1,0.8,x,3\nb,0,0.3,y,4\n")
    assert not got.patient_ids


def test_two_classes_by_name(tmp_path: Path) -> None:
    text = "case,label,probability\na,stroke,0.8\nb,normal,0.3\n"
    got = load(tmp_path, text, Question(positive="stroke", thresholds={"stroke": 0.4}))
    assert (got.facts.classes, got.facts.positive, got.facts.threshold("stroke")) == (
        ("normal", "stroke"),
        "stroke",
        0.4,
    )
    assert not got.patient_ids
    assert got.table["patient"].tolist() == ["a", "b"]


def test_a_name_for_the_ones(tmp_path: Path) -> None:
    got = load(tmp_path, "case,label,probability\na,yes,0.8\nb,no,0.3\n", Question(positive="stroke"))
    assert got.facts.classes == ("no stroke", "stroke")


def test_a_column_for_each_class(tmp_path: Path) -> None:
    text = "case,label,p_a,p_b,p_c\n1,a,0.5,0.3,0.2\n2,c,0.2,0.3,0.495\n"
    got = load(tmp_path, text, Question(positive="c"))
    assert (got.facts.kind, got.facts.classes) == ("multiclass", ("a", "b", "c"))
    assert got.table["y_c"].tolist() == [False, True]


def test_labels_that_stand_together(tmp_path: Path) -> None:
    text = "case,label,p_any,p_subdural\n1,any;subdural,0.9,0.8\n2,none,0.2,0.1\n3,any,0.7,0.2\n"
    got = load(tmp_path, text, Question(positive="any"))
    assert got.facts.kind == "multilabel"
    assert got.table[["y_any", "y_subdural"]].to_numpy().tolist() == [[True, True], [False, False], [True, False]]
    assert got.cases[1].labels == {"label": ()}


def test_readers_beside_the_predictions(tmp_path: Path) -> None:
    got = load(tmp_path, "case,label,probability,reader_Ada\na,1,0.8,1\nb,0,0.3,\n")
    assert got.readers == {"Ada": {"a": "1"}}
    assert dict(got.cases[0].attributes) == {}


@pytest.mark.parametrize(
    ("text", "positive", "said"),
    [
        ("case,probability\na,0.2\n", "", "no column 'label'"),
        ("patient,label,probability\na,1,0.2\n", "", "no column 'case'"),
        ("case,label\na,1\n", "", "no column 'probability'"),
        ("case,label,p_x\na,x,0.2\n", "", "one column of a class, 'p_x'"),
        ("case,label,probability,p_x\na,x,0.2,0.1\n", "", "both a column probability and columns p_<class>"),
        ("case,label,probability\na,1,1.2\nb,0,x\n", "", r"column 'probability', row 2 \('1.2'\), 3 \('x'\)"),
        ("case,label,probability\na,1,nan\n", "", r"row 2 \('nan'\): it must be a probability"),
        ("case,label,probability\na,,0.2\n", "", "column 'label', row 2 .*: it must be filled in"),
        ("case,patient,label,probability\na,,1,0.2\n", "", "column 'patient', row 2"),
        ("case,label,probability\na,1,0.2\na,0,0.3\n", "", "rows 2 and 3: the case 'a' stands twice"),
        ("case,label,probability\na,stroke,0.2\nb,normal,0.3\n", "", "--positive NAME"),
        ("case,label,probability\na,stroke,0.2\nb,normal,0.3\n", "tumour", "no label 'tumour'"),
        ("case,label,probability\na,x,0.2\nb,y,0.3\nc,z,0.3\n", "x", "3 labels .* one column of probabilities"),
        ("case,label,p_x,p_y\na,x,0.2,0.8\nb,z,0.5,0.5\n", "x", r"column 'label', row 3 \('z'\)"),
        ("case,label,p_x,p_y\na,x,0.2,0.7\n", "x", "each row's p_ sum to 1"),
        ("case,label,p_x,p_y\na,x,0.2,0.8\n", "", "give --positive with one of x, y"),
        ("case,label,p_x,p_y\na,x,0.2,0.8\n", "z", "give --positive with one of x, y"),
    ],
)
def test_a_bad_table_is_refused_with_its_rows(tmp_path: Path, text: str, positive: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        load(tmp_path, text, Question(positive=positive))


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"c{i},1,2\n" for i in range(9))
    with pytest.raises(EvaluationError, match=r"row 2 .*, 6 \('2'\) and 4 more"):
        load(tmp_path, "case,label,probability\n" + rows)


def test_a_threshold_for_no_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="threshold for 'stroke', which is none of negative, positive"):
        load(tmp_path, "case,label,probability\na,1,0.2\n", Question(thresholds={"stroke": 0.4}))
