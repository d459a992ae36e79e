from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.evaluate.made_pictures import case, head, put

from insula.core.types import Case, Split
from insula.evaluate import trivial
from insula.evaluate.evidence import Baselines
from insula.evaluate.pictures import Pictures, gather
from insula.metrics.compare import delong_interval

POSITIVE = ("answer", "stroke")


def pictures(root: Path, split: Split, count: int, border: bool, scanner: float = 0.0, first: int = 0) -> Pictures:
    """Heads that do not differ, but for a bright edge and a scanner that go with the label."""
    rng = np.random.default_rng(first)
    cases: list[Case] = []
    for i in range(first, first + count):
        label = ("normal", "stroke")[i % 2]
        grey = head(i, 64)
        if border and label == "stroke":
            grey[:4] = 220
        put(root / f"{split}{i}.jpg", grey)
        same = rng.random() < scanner
        machine = "AB"[i % 2] if same else "AB"[int(rng.integers(2))]
        cases.append(case(f"{split}{i}", f"p{i}", label, split, scanner=machine, age=f"{50 + int(rng.integers(30))}"))
    return gather(cases, root)


def judged(test: Pictures, p: np.ndarray) -> trivial.Judged:
    keys = np.array([c.patient for c in test.cases])
    y = np.array([c.labels["answer"] == ("stroke",) for c in test.cases])
    order = np.argsort(keys)
    return trivial.Judged(
        keys[order], y[order], p[order], delong_interval(y, p), {c.key: c.patient for c in test.cases}
    )


def beside(root: Path, border: bool, scanner: float, noise: float = 0.3, without: tuple[str, ...] = ()) -> Baselines:
    train = pictures(root, "train", 80, border, scanner)
    test = pictures(root, "test", 40, border, scanner, 1000)
    rng = np.random.default_rng(5)
    y = np.array([c.labels["answer"] == ("stroke",) for c in test.cases])
    return trivial.beside(judged(test, y + rng.normal(0, noise, 40)), POSITIVE, train, test, without, 0)


def test_a_shortcut_in_the_border_is_found_and_said(tmp_path: Path) -> None:
    got = beside(tmp_path, border=True, scanner=0.0)
    found = {m.name: m for m in got.models}
    assert found["border"].roc_auc.value > 0.97
    assert found["border"].within
    assert not found["metadata"].within
    assert "sees only the outer tenth of the picture" in got.sentence
    assert "it may rest on no more than that" in got.sentence


def test_a_shortcut_in_the_scanner_is_found_unless_it_may_not_be_seen(tmp_path: Path) -> None:
    got = beside(tmp_path, border=False, scanner=1.0)
    found = {m.name: m for m in got.models}
    assert found["metadata"].roc_auc.value > 0.97
    assert set(found["metadata"].inputs) == {"age", "scanner"}
    assert found["metadata"].train_patients == 80
    blind = beside(tmp_path, border=False, scanner=1.0, without=("scanner",))
    assert {m.name: m for m in blind.models}["metadata"].roc_auc.value < 0.8


def test_where_nothing_gives_the_label_away_the_model_stands_alone(tmp_path: Path) -> None:
    got = beside(tmp_path, border=False, scanner=0.0, noise=0.1)
    assert [m.within for m in got.models] == [False, False, False]
    assert got.sentence.startswith("The model's ROC-AUC of 1.000 is above that of every trivial model (")
    for m in got.models:
        assert m.roc_auc.interval is not None
        assert m.difference.value == pytest.approx(1.0 - m.roc_auc.value, abs=1e-9)


def test_cases_of_a_patient_are_pooled_before_they_are_judged(tmp_path: Path) -> None:
    train = pictures(tmp_path, "train", 40, border=True)
    test = pictures(tmp_path, "test", 20, border=True, first=1000)
    halves = replace(test, cases=tuple(replace(c, patient=f"q{i // 4}{i % 2}") for i, c in enumerate(test.cases)))
    owner = {c.key: c.patient for c in halves.cases}
    keys = np.array(sorted(set(owner.values())))
    y = np.array([key.endswith("1") for key in keys])
    one = trivial.Judged(keys, y, y.astype(float), delong_interval(y, y.astype(float)), owner)
    got = trivial.beside(one, POSITIVE, train, halves, (), 0)
    assert {m.roc_auc.patients for m in got.models} == {10}


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    test = pictures(tmp_path, "test", 6, border=False)
    one = judged(test, np.arange(6.0))
    none = trivial.beside(one, POSITIVE, None, test, (), 0)
    assert none.models == ()
    assert set(none.reasons) == {"metadata", "border", "silhouette", "thumbnail"}
    assert none.sentence == "No trivial model could be fitted: the cohort holds no labelled training cases."
    few = trivial.beside(one, POSITIVE, pictures(tmp_path, "train", 12, border=False), test, (), 0)
    assert "6 positive and 6 negative patients, and 10 of each are needed" in few.sentence


def test_facts_that_do_not_vary_give_no_model(tmp_path: Path) -> None:
    train, test = pictures(tmp_path, "train", 24, False), pictures(tmp_path, "test", 6, False, first=1000)
    plain = [replace(p, cases=tuple(replace(c, attributes={}) for c in p.cases)) for p in (train, test)]
    got = trivial.beside(judged(plain[1], np.arange(6.0)), POSITIVE, plain[0], plain[1], (), 0)
    nothing = "nothing of it varies over the training cases"
    assert got.reasons == {"metadata": nothing, "silhouette": nothing}
    assert [m.name for m in got.models] == ["border", "thumbnail"]


def test_a_figure_is_that_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from insula.evaluate import trivial_features as features

    train = pictures(tmp_path, "train", 60, True)
    test = pictures(tmp_path, "test", 30, True, first=1000)
    y = [np.array([c.labels["answer"] == ("stroke",) for c in p.cases]) for p in (train, test)]
    got = {m.name: m for m in trivial.beside(judged(test, y[1] * 1.0), POSITIVE, train, test, (), 0).models}
    scaler = StandardScaler().fit(features.thumbnail(train))
    model = LogisticRegression(C=0.1, max_iter=5000).fit(scaler.transform(features.thumbnail(train)), y[0])
    p = model.predict_proba(scaler.transform(features.thumbnail(test)))[:, 1]
    assert got["thumbnail"].roc_auc.value == pytest.approx(roc_auc_score(y[1], p))
