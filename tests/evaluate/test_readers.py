from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score
from statsmodels.stats.inter_rater import fleiss_kappa
from tests.evaluate.made_tables import CLASSES, binary, binary_facts, facts, table

from insula.core.errors import EvaluationError
from insula.evaluate import readers

RNG = np.random.default_rng(6)
Y = RNG.random(40) < 0.5
P = np.clip(RNG.normal(0.3, 0.2, 40) + 0.4 * Y, 0.01, 0.99)
TABLE = binary(Y.astype(int).tolist(), P.tolist())
KEYS = TABLE["case"].tolist()
ADA = np.where(RNG.random(40) < 0.8, Y, ~Y)
BEN = np.where(RNG.random(40) < 0.7, Y, ~Y)


def answers(given: np.ndarray, keys: list[str] = KEYS) -> dict[str, str]:
    return {key: ("normal", "stroke")[int(v)] for key, v in zip(keys, given, strict=True)}


def test_each_reader_stands_beside_the_model_on_the_same_cases() -> None:
    got = readers.judge(TABLE, binary_facts(), {"Ada": answers(ADA), "Ben": answers(BEN[:30], KEYS[:30])}, 50)
    ada, ben = got.readers
    assert (ada.cases, ben.cases) == (40, 30)
    assert ada.sensitivity.value == pytest.approx(recall_score(Y, ADA))
    assert ada.specificity.value == pytest.approx(recall_score(~Y, ~ADA))
    assert ada.point == pytest.approx((1 - ada.specificity.value, ada.sensitivity.value))
    called = P[:30] >= 0.5
    assert ben.model_sensitivity.value == pytest.approx(recall_score(Y[:30], called))
    assert ben.model_roc_auc.value == pytest.approx(roc_auc_score(Y[:30], P[:30]))
    assert ben.kappa.value == pytest.approx(cohen_kappa_score(BEN[:30], called))
    assert ben.mcnemar is not None
    assert ben.mcnemar.only_first == int(((BEN[:30] == Y[:30]) & (called != Y[:30])).sum())
    assert ada.sensitivity.interval is not None


def test_agreement_among_readers_is_over_what_all_of_them_read() -> None:
    got = readers.judge(TABLE, binary_facts(), {"Ada": answers(ADA), "Ben": answers(BEN[5:], KEYS[5:])}, 50)
    both = np.stack([ADA[5:], BEN[5:]], axis=1).astype(int)
    votes = np.stack([(both == k).sum(axis=1) for k in (0, 1)], axis=1)
    assert got.fleiss is not None
    assert got.fleiss.value == pytest.approx(fleiss_kappa(votes))
    assert got.fleiss.n == 35
    assert list(got.between) == ["Ada and Ben"]
    assert got.between["Ada and Ben"].value == pytest.approx(cohen_kappa_score(ADA[5:], BEN[5:]))


def test_a_lone_reader_has_nobody_to_agree_with() -> None:
    got = readers.judge(TABLE, binary_facts(), {"Ada": answers(ADA)}, 20)
    assert (got.fleiss, got.between) == (None, {})


def test_agreement_is_over_all_exclusive_classes() -> None:
    made = table()
    rng = np.random.default_rng(1)
    given = rng.integers(0, 3, len(made))
    told = {key: CLASSES[v] for key, v in zip(made["case"], given, strict=True)}
    got = readers.judge(made, facts(), {"Ada": told}, 20).readers[0]
    p = made[[f"p_{name}" for name in CLASSES]].to_numpy()
    k = CLASSES.index("malignant")
    others = np.where(np.arange(3) == k, -1, p).argmax(axis=1)
    called = np.where(p[:, k] >= 0.35, k, others)
    assert got.kappa.value == pytest.approx(cohen_kappa_score(given, called))
    assert got.mcnemar is None  # several cases a patient


def test_labels_that_stand_together_are_read_for_the_positive_one() -> None:
    made = table("multilabel")
    told = {key: ("any;subdural", "none", "epidural")[i % 3] for i, key in enumerate(made["case"])}
    got = readers.judge(made, facts("multilabel"), {"Ada": told}, 20).readers[0]
    y = made["y_any"].to_numpy()
    said = np.arange(len(made)) % 3 == 0
    assert got.sensitivity.value == pytest.approx(recall_score(y, said))


def test_what_was_not_judged_is_left_out_and_said() -> None:
    got = readers.judge(TABLE, binary_facts(), {"Ada": {**answers(ADA), "x": "stroke"}, "Ben": {"y": "normal"}}, 20)
    assert [r.name for r in got.readers] == ["Ada"]
    assert got.notes == (
        "Left out: 1 answer of Ada about no judged case: 'x'.",
        "Left out: 1 answer of Ben about no judged case: 'y'.",
        f"Ben read 0 of the {len(KEYS)} judged cases.",
    )
    assert (got.readers[0].cases, got.readers[0].total) == (len(KEYS), len(KEYS))
    with pytest.raises(EvaluationError, match="Not one of the readers' answers"):
        readers.judge(TABLE, binary_facts(), {"Ben": {"y": "normal"}}, 20)


def test_many_answers_without_a_case_are_counted_and_a_few_named() -> None:
    told = {**answers(ADA), **{f"typo-{i}": "stroke" for i in range(5)}}
    assert readers.unmatched({"Ada": told}, KEYS) == (
        "Left out: 5 answers of Ada about no judged case: 'typo-0', 'typo-1', 'typo-2' and 2 more.",
    )
    assert readers.unmatched({"Ada": answers(ADA)}, KEYS) == ()


def test_answers_are_checked_before_anything_is_judged() -> None:
    readers.check({"Ada": answers(ADA)}, binary_facts(), KEYS)
    with pytest.raises(EvaluationError, match="Ada answered 'strok' for case"):
        readers.check({"Ada": {KEYS[0]: "strok"}}, binary_facts(), KEYS)
    readers.check({"Ada": {**answers(ADA), "not judged": "strok"}}, binary_facts(), KEYS)
    with pytest.raises(EvaluationError, match=r"Not one of the readers' 1 cases .* called like 'y'"):
        readers.check({"Ben": {"y": "normal"}}, binary_facts(), KEYS)


def test_ones_and_zeros_are_answers_to_two_classes_only() -> None:
    told = {key: str(int(v)) for key, v in zip(KEYS, ADA, strict=True)}
    assert readers.judge(TABLE, binary_facts(), {"Ada": told}, 20).readers[0].sensitivity.value == pytest.approx(
        recall_score(Y, ADA)
    )
    made = table()
    with pytest.raises(EvaluationError, match=r"Ada answered '1' for case .* one of healthy, benign, malignant\."):
        readers.judge(made, facts(), {"Ada": {made["case"][0]: "1"}}, 20)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "readers.csv"
    path.write_text(text)
    return path


def test_both_forms_of_the_table_say_the_same(tmp_path: Path) -> None:
    wide = readers.load(write(tmp_path, "case,Ada,reader_Ben\na,1,stroke\nb,,normal\n"))
    long = readers.load(write(tmp_path, "case,reader,answer\na,Ada,1\na,Ben,stroke\nb,Ben,normal\nb,Ada,\n"))
    assert wide == long == {"Ada": {"a": "1"}, "Ben": {"a": "stroke", "b": "normal"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,Ada\na,1\n", "it needs 'case' and one column a reader"),
        ("case\na\n", "it needs 'case' and one column a reader"),
        ("case,Ada\n,1\n", "row 2: the column 'case' is empty"),
        ("case,Ada\na,1\na,0\n", "row 3: the case 'a' was read twice"),
        ("case,reader,answer\na,,1\n", "row 2: the column 'reader' is empty"),
    ],
)
def test_a_bad_table_of_answers_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        readers.load(write(tmp_path, text))
