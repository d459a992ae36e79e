from __future__ import annotations

import numpy as np
from sklearn.metrics import cohen_kappa_score

from insula.evaluate import marks
from insula.evaluate.marks import Marks


def named(labels: dict[str, str], whole: bool = False) -> Marks:
    return Marks({f"{key}/file": label for key, label in labels.items()}, labels, whole)


def test_labels_of_other_names_are_matched_by_their_cases() -> None:
    before = {str(i): ("no", "yes")[i % 3 == 0] for i in range(30)}
    here = {str(i): ("normal", "stroke")[i % 3 == 0] for i in range(30)}
    assert marks.shared(Marks({}, before), Marks({}, here), own=False) == 30
    assert marks.relabelled(before, here) == 0
    here["0"] = "normal"
    assert marks.relabelled(before, here) == 1


def test_one_respelt_label_does_not_make_another_test_set() -> None:
    before = {str(i): ("normal", "stroke")[i % 3 == 0] for i in range(30)}
    here = {key: label.replace("normal", "Normal") for key, label in before.items()}
    assert marks.shared(Marks({}, before), Marks({}, here), own=False) == 30
    assert marks.relabelled(before, here) == 0
    all_ill = dict.fromkeys(before, "stroke")
    assert marks.relabelled(before, all_ill) == 20  # another answer, no other name


def test_names_count_where_half_are_shared_and_kappa_of_the_labels_is_high() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        before = {str(i): str(v) for i, v in enumerate(rng.integers(0, 2, 40))}
        flips = rng.random(40) < rng.choice([0.0, 0.05, 0.1, 0.3, 0.5])
        here = {key: str(int(v) ^ int(flip)) for (key, v), flip in zip(before.items(), flips, strict=True)}
        agrees = cohen_kappa_score(list(before.values()), list(here.values())) >= 0.8
        assert (marks.shared(Marks({}, before), Marks({}, here), own=False) == 40) is bool(agrees)


def test_one_class_alone_tells_nothing_unless_all_names_are_the_same() -> None:
    before = dict.fromkeys("abcd", "stroke")
    assert marks.shared(Marks(before), Marks(dict.fromkeys("abc", "stroke")), own=False) == 0
    assert marks.shared(Marks(before), Marks(before), own=False) == 4
    assert marks.shared(Marks({}, before), Marks({}, before), own=False) == 0  # four names without patients


def test_few_shared_files_count_and_few_shared_names_do_not() -> None:
    before = named({str(i): "xy"[i % 2] for i in range(10)}, whole=True)
    here = named({str(i): "xy"[i % 2] for i in range(8, 30)}, whole=True)
    assert marks.shared(before, here, own=False) == 2
    assert marks.shared(Marks({}, before.names), Marks({}, here.names), own=False) == 0
    assert marks.shared(Marks({}, before.names), Marks({}, here.names), own=True) == 2
