from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from insula.cohort.split import folds, read_files, split, write_files
from insula.core import recipe as recipes
from insula.core.errors import SplitError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan

STROKE = recipes.load("stroke-ct")
BLEED = recipes.load("haemorrhage-ct")


def cohort(counts: dict[str, int], pictures: int = 3, known: bool = True) -> Cohort:
    cases = []
    for name, count in counts.items():
        for p in range(count):
            for k in range(pictures):
                key = f"{name}/{p}/{k}"
                cases.append(Case(key, f"{name}{p}", {"ct": Scan((key,), "png")}, {"stroke": (name,)}))
    return Cohort(tuple(cases), "/data", "", known)


def patients(made: Cohort) -> dict[str, set[str]]:
    return {s: {c.patient for c in made.cases if c.split == s} for s in ("train", "val", "test")}


def test_by_patient_no_patient_is_in_two_splits_and_classes_are_in_proportion() -> None:
    made = split(cohort({"normal": 40, "stroke": 20}), STROKE)
    found = patients(made)
    assert made.split_level == "patient"
    assert sum(len(ids) for ids in found.values()) == len(set().union(*found.values())) == 60
    assert {s: Counter(p.rstrip("0123456789") for p in ids) for s, ids in found.items()} == {
        "train": {"normal": 28, "stroke": 14},
        "val": {"normal": 6, "stroke": 3},
        "test": {"normal": 6, "stroke": 3},
    }


@pytest.mark.parametrize("fewest", [3, 4, 5, 6])
def test_small_classes_stand_in_every_split(fewest: int) -> None:
    made = split(cohort({"normal": 30, "stroke": fewest}), STROKE)
    assert {c.split for c in made.cases if c.labels["stroke"] == ("stroke",)} == {"train", "val", "test"}


def test_two_patients_go_to_train_and_test() -> None:
    made = split(cohort({"normal": 10, "stroke": 2}), STROKE)
    assert {c.split for c in made.cases if c.labels["stroke"] == ("stroke",)} == {"train", "test"}


def test_the_seed_alone_decides() -> None:
    source = cohort({"normal": 20, "stroke": 20})
    other = Recipe.model_validate(STROKE.model_dump(by_alias=True) | {"seed": 1})
    assert split(source, STROKE) == split(source, STROKE)
    assert split(replace(source, cases=source.cases[::-1]), STROKE).cases[::-1] == split(source, STROKE).cases
    assert patients(split(source, STROKE)) != patients(split(source, other))


def test_by_picture_is_marked_and_does_leak() -> None:
    made = split(cohort({"normal": 20, "stroke": 20}), STROKE, level="picture")
    assert made.split_level == "picture"
    assert patients(made)["train"] & patients(made)["test"]


def test_unknown_patients_are_refused_at_patient_level() -> None:
    source = cohort({"normal": 5, "stroke": 5}, known=False)
    with pytest.raises(SplitError, match=r"--patient-pattern.*--level picture"):
        split(source, STROKE)
    assert split(source, STROKE, level="picture").split_level == "picture"


def test_refusals() -> None:
    with pytest.raises(SplitError, match="Class 'stroke' has 1 patient and 2 are needed"):
        split(cohort({"normal": 5, "stroke": 1}), STROKE)
    with pytest.raises(SplitError, match="Class 'stroke' has 0"):
        split(cohort({"normal": 5}), STROKE)
    with pytest.raises(SplitError, match="three shares"):
        split(cohort({"normal": 5, "stroke": 5}), STROKE, (0.5, 0.5, 0.5))
    with pytest.raises(SplitError, match="No case"):
        split(cohort({}), STROKE)
    with pytest.raises(SplitError, match="5 are needed for each fold"):
        folds(cohort({"normal": 5, "stroke": 4}), STROKE, 5)


def test_several_labels_are_spread_by_combination() -> None:
    combos = [(), ("any", "subdural"), ("any", "epidural"), ("any", "subdural", "epidural")]
    cases = tuple(
        Case(f"{i}", f"{i}", {"ct": Scan((f"{i}",), "dicom")}, {"haemorrhage": combos[i % 4]}) for i in range(160)
    )
    made = split(Cohort(cases, "/"), BLEED)
    for combo in combos:
        counts = Counter(c.split for c in made.cases if c.labels["haemorrhage"] == combo)
        assert 26 <= counts["train"] <= 30
        assert 4 <= counts["val"] <= 8
        assert 4 <= counts["test"] <= 8


def test_folds_test_every_patient_once() -> None:
    made = folds(cohort({"normal": 23, "stroke": 11}), STROKE, 5)
    tested = Counter(p for fold in made for p in patients(fold)["test"])
    assert set(tested.values()) == {1}
    assert len(tested) == 34
    for fold in made:
        found = patients(fold)
        assert len(found["train"] | found["val"] | found["test"]) == 34
        assert len(found["train"]) + len(found["val"]) + len(found["test"]) == 34
        for name in ("normal", "stroke"):
            assert all(any(p.startswith(name) for p in ids) for ids in found.values())


@pytest.mark.parametrize("level", ["patient", "picture"])
def test_folds_keep_groups_whole_and_still_test_everything_once(level: str) -> None:
    source = cohort({"normal": 23, "stroke": 11})
    keys = [case.key for case in source.cases]
    groups = [[keys[0], keys[4], keys[9]], [keys[9], keys[20]], [keys[-1], keys[-5]]]
    made = folds(source, STROKE, 5, "patient" if level == "patient" else "picture", groups)
    tested = Counter(case.key for fold in made for case in fold.of_split("test"))
    assert set(tested) == set(keys)
    assert set(tested.values()) == {1}
    sizes = []
    for fold in made:
        of = {case.key: case.split for case in fold.cases}
        assert all(len({of[key] for key in group}) == 1 for group in groups)
        assert all(
            {"train", "val", "test"} <= {s for k, s in of.items() if k.startswith(c)} for c in ("normal", "stroke")
        )
        sizes.append(len(fold.of_split("test")))
    assert max(sizes) - min(sizes) <= 6  # one patient of each class at most
    assert made == folds(source, STROKE, 5, "patient" if level == "patient" else "picture", groups)


def test_too_few_groups_for_the_folds_are_refused() -> None:
    source = cohort({"normal": 8, "stroke": 5})
    with pytest.raises(SplitError, match="each fold"):
        folds(source, STROKE, 5, together=[[f"stroke/{k}/0" for k in range(5)]])


def test_unlabelled_cases_get_no_split() -> None:
    source = cohort({"normal": 5, "stroke": 5})
    extra = Case("x", "x", {"ct": Scan(("x",), "png")}, {})
    assert split(replace(source, cases=(*source.cases, extra)), STROKE).cases[-1].split == ""


def test_files_go_out_and_come_back(tmp_path: Path) -> None:
    made = split(cohort({"normal": 8, "stroke": 8}), STROKE)
    write_files(made, tmp_path)
    assert read_files(cohort({"normal": 8, "stroke": 8}), tmp_path) == made
    by_picture = split(made, STROKE, level="picture")
    write_files(by_picture, tmp_path)
    assert read_files(made, tmp_path, "picture") == by_picture


def test_split_files_that_cannot_be_followed(tmp_path: Path) -> None:
    source = cohort({"normal": 8, "stroke": 8})
    with pytest.raises(SplitError, match="not split yet"):
        write_files(source, tmp_path)
    with pytest.raises(SplitError, match=r"train\.txt"):
        read_files(source, tmp_path)
    write_files(split(source, STROKE), tmp_path)
    held = (tmp_path / "test.txt").read_text()
    (tmp_path / "test.txt").write_text(held + (tmp_path / "train.txt").read_text().splitlines()[0])
    with pytest.raises(SplitError, match=r"test\.txt.*stands in train\.txt too"):
        read_files(source, tmp_path)
    (tmp_path / "test.txt").write_text("nobody\n")
    with pytest.raises(SplitError, match=r"test\.txt', line 1: the cohort has no such patient"):
        read_files(source, tmp_path)


def test_groups_stand_in_one_split_with_their_patients_and_shares_are_kept() -> None:
    source = cohort({"normal": 40, "stroke": 20})
    groups = [(f"normal/{k}/0", f"normal/{k + 1}/2") for k in range(0, 12, 2)] + [
        ("normal/1/1", "normal/2/0", "stroke/3/1")
    ]
    made = split(source, STROKE, together=groups)
    split_of = {c.key: c.split for c in made.cases}
    assert all(len({split_of[key] for key in group}) == 1 for group in groups)
    found = patients(made)
    assert sum(len(ids) for ids in found.values()) == len(set().union(*found.values())) == 60
    assert made.split_level == "patient"
    counts = [len(found[s]) for s in ("train", "val", "test")]
    assert max(abs(a - b) for a, b in zip(counts, (42, 9, 9), strict=True)) <= 1
    assert split(replace(source, cases=source.cases[::-1]), STROKE, together=groups).cases[::-1] == made.cases


def test_groups_by_picture_when_patients_are_not_known() -> None:
    source = cohort({"normal": 20, "stroke": 20}, known=False)
    groups = [tuple(f"normal/{k}/0" for k in range(12)), ("stroke/0/0", "stroke/1/1")]
    made = split(source, STROKE, level="picture", together=groups)
    split_of = {c.key: c.split for c in made.cases}
    assert all(len({split_of[key] for key in group}) == 1 for group in groups)
    counts = Counter(c.split for c in made.cases if c.labels["stroke"] == ("normal",))
    assert counts == {"train": 42, "val": 9, "test": 9}
    assert made.split_level == "picture"


def test_few_groups_still_reach_every_split_and_the_unlabelled_get_none() -> None:
    source = cohort({"normal": 9, "stroke": 9})
    extra = Case("x", "x", {"ct": Scan(("x",), "png")}, {})
    groups = [[f"stroke/{k}/0" for k in range(7)], ["normal/0/0", "x"]]
    made = split(replace(source, cases=(*source.cases, extra)), STROKE, together=groups)
    for name in ("normal", "stroke"):
        assert {c.split for c in made.cases if c.labels.get("stroke") == (name,)} == {"train", "val", "test"}
    assert made.cases[-1].split == ""
    with pytest.raises(SplitError, match="Class 'stroke' has 1"):
        split(source, STROKE, together=[[f"stroke/{k}/0" for k in range(9)]])
