"""A cohort through a bundle: the predictor's own embeddings, one row for a bad scan, nothing made twice."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import make as make_bundle
from tests.tiny_cohort import make as make_cohort

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.core.errors import CohortError, UsageError
from insula.core.types import Case, Cohort, Prediction
from insula.infer import feature_journal as journals
from insula.infer import feature_store as stores
from insula.infer.embed import Done, embed
from insula.infer.predict import Predictor


class Stopped(Exception):  # noqa: N818 (it stands for a kill)
    pass


def stop_after(count: int) -> Callable[[Sequence[Case]], Iterable[Case]]:
    def go(cases: Sequence[Case]) -> Iterable[Case]:
        for i, case in enumerate(cases):
            if i == count:
                raise Stopped
            yield case

    return go


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    made = make_cohort(tmp_path / "scans", patients=6)
    cases = tuple(
        replace(case, attributes={"sex": "FM"[i % 2], "answer": ""}, split="train" if i < 2 else "test")
        for i, case in enumerate(made.cases)
    )
    return replace(made, cases=cases)


def test_rows_are_what_the_predictor_says(tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    assert embed(predictor, cohort, ["all"], tmp_path / "s") == Done(6, 6, 0, 0)
    store = stores.load(tmp_path / "s")
    for row, case in enumerate(cohort.cases):
        found = predictor.case(case, Path(cohort.root))
        assert np.array_equal(store.embeddings[row], found.embedding)
        assert store.index["case"][row] == case.key
        assert float(store.index["p_stroke"][row]) == pytest.approx(float(found.probabilities[1]), abs=1e-6)
        assert store.index["label"][row] == case.labels["answer"][0]
        said = store.index["predicted"][row]
        assert store.index["right"][row] == ("yes" if said == case.labels["answer"][0] else "no")
        assert store.thumbnail(row).startswith(b"\xff\xd8")
    assert store.index["attribute.sex"] == ["F", "M"] * 3
    assert "attribute.answer" not in store.index  # a column that holds the label
    assert store.facts["bundle"] == predictor.bundle.id
    assert store.centre.tolist() == predictor.bundle.baseline.embedding_mean.tolist()


class Far(Predictor):
    """Finds one case far from training."""

    def from_slices(self, prepared: Any, key: str, *more: Any, **named: Any) -> Prediction:
        found = super().from_slices(prepared, key, *more, **named)
        return replace(found, distances={"all": 9.0 if key == "case-2" else 0.5})


def test_of_a_rejected_case_no_probability_is_kept(
    tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path
) -> None:
    far, folder = Far(tiny_bundle()), tmp_path / "s"
    embed(far, cohort, ["all"], folder)
    with (folder / stores.INDEX).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = [(row["action"], row["predicted"], row["right"], row["p_normal"], row["p_stroke"]) for row in rows]
    assert kept[2] == ("reject", "", "", "", "")
    assert rows[2]["distance"] == "9"
    assert all(float(p) > 0 for one in kept[:2] + kept[3:] for p in one[3:])
    assert stores.load(folder).thumbnail(2).startswith(b"\xff\xd8")
    entries = journals.read(folder / journals.JOURNAL)
    assert entries["case-2"].facts["p"] == []
    # a journal that kept it, as earlier versions did, is gone on with, and the tables do not tell it
    old = replace(entries["case-2"], facts={**entries["case-2"].facts, "p": [0.25, 0.75]})
    with journals.opened(folder) as journal:
        journal.add(old)
    before = (folder / stores.INDEX).read_bytes()
    assert embed(far, cohort, ["all"], folder) == Done(6, 0, 6, 0)
    assert (folder / stores.INDEX).read_bytes() == before


def test_a_run_that_was_killed_goes_on_where_it_was(
    tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path
) -> None:
    predictor, whole, torn = Predictor(tiny_bundle()), tmp_path / "whole", tmp_path / "torn"
    embed(predictor, cohort, ["all"], whole)
    with pytest.raises(Stopped):
        embed(predictor, cohort, ["all"], torn, stop_after(4))
    with pytest.raises(UsageError, match="insula embed"):
        stores.load(torn)
    journal = torn / "journal.txt"
    journal.write_bytes(journal.read_bytes()[:-9])  # the last line is torn too
    left = torn / "thumbnails" / ".a.jpg.x1y2"
    left.write_bytes(b"half")
    assert embed(predictor, cohort, ["all"], torn) == Done(6, 3, 3, 0)
    assert not left.exists()
    for name in (stores.EMBEDDINGS, stores.INDEX, stores.FAILURES):
        assert (torn / name).read_bytes() == (whole / name).read_bytes()
    before = {p: p.stat().st_mtime_ns for p in (torn / "thumbnails").iterdir()}
    assert embed(predictor, cohort, ["all"], torn) == Done(6, 0, 6, 0)
    assert {p: p.stat().st_mtime_ns for p in (torn / "thumbnails").iterdir()} == before
    assert len(before) == 6


def test_a_bad_scan_is_one_row_of_failures(tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path) -> None:
    root, predictor = Path(cohort.root), Predictor(tiny_bundle())
    good = (root / "1/0.dcm").read_bytes()
    (root / "1/0.dcm").write_bytes(b"")
    (root / "3/1.dcm").write_bytes(b"no scan at all")
    assert embed(predictor, cohort, ["all"], tmp_path / "s") == Done(4, 4, 0, 2)
    store = stores.load(tmp_path / "s")
    assert [case for case, _ in store.failures] == ["case-1", "case-3"]
    assert all(reason for _, reason in store.failures)
    assert "case-1" not in store.index["case"]
    (root / "1/0.dcm").write_bytes(good)  # mended: this one alone is tried again
    assert embed(predictor, cohort, ["all"], tmp_path / "s") == Done(5, 1, 4, 1)


def test_a_case_whose_file_or_picture_changed_is_made_again(
    tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path
) -> None:
    predictor, folder = Predictor(tiny_bundle()), tmp_path / "s"
    embed(predictor, cohort, ["test"], folder)
    first = np.array(stores.load(folder).embeddings)
    other = Path(cohort.root) / "5/0.dcm"
    (Path(cohort.root) / "2/0.dcm").write_bytes(other.read_bytes())
    (Path(cohort.root) / "2/1.dcm").write_bytes((Path(cohort.root) / "5/1.dcm").read_bytes())
    next((folder / "thumbnails").iterdir()).unlink()
    done = embed(predictor, cohort, ["test"], folder)
    assert done.rows == 4
    assert 1 <= done.made <= 2
    second = stores.load(folder)
    assert np.array_equal(second.embeddings[0], second.embeddings[3])
    assert not np.array_equal(first[0], second.embeddings[0])
    assert all(second.thumbnail(row) for row in range(4))


def test_splits_are_added_and_labels_are_taken_anew(
    tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path
) -> None:
    predictor, folder = Predictor(tiny_bundle()), tmp_path / "s"
    assert embed(predictor, cohort, ["test"], folder).made == 4
    relabelled = replace(cohort, cases=(replace(cohort.cases[0], labels={}), *cohort.cases[1:]))
    assert embed(predictor, relabelled, ["train", "test"], folder) == Done(6, 2, 4, 0)
    store = stores.load(folder)
    assert (store.index["label"][0], store.index["right"][0]) == ("", "")
    assert store.index["split"] == ["train"] * 2 + ["test"] * 4


def test_patients_of_training_are_known(tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path) -> None:
    bundle = tiny_bundle()
    base = replace(bundle.baseline, patients=(hash_patient(bundle.baseline.salt, "A3"),))
    embed(Predictor(replace(bundle, baseline=base)), cohort, ["all"], tmp_path / "s")
    assert stores.load(tmp_path / "s").index["seen"] == ["no", "no", "no", "yes", "no", "no"]
    unknown = replace(bundle, baseline=replace(base, patient_ids=False))
    embed(Predictor(unknown), cohort, ["all"], tmp_path / "t")
    assert set(stores.load(tmp_path / "t").index["seen"]) == {"unknown"}


def test_labels_that_stand_together(tmp_path: Path, cohort: Cohort) -> None:
    predictor = Predictor(make_bundle(tmp_path, kind="multilabel"))
    names = [(), ("any", "subdural"), ("any",), (), ("any", "epidural"), ()]
    cases = tuple(replace(c, labels={"answer": n}) for c, n in zip(cohort.cases, names, strict=True))
    embed(predictor, replace(cohort, cases=cases), ["all"], tmp_path / "s")
    store = stores.load(tmp_path / "s")
    assert store.index["label"] == ["none", "any;subdural", "any", "none", "any;epidural", "none"]
    for label, said, right in zip(*(store.index[c] for c in ("label", "predicted", "right")), strict=True):
        assert said in ("any", "no any")
        assert (right == "yes") == ((said == "any") == ("any" in label.split(";")))


def test_folders_splits_and_bundles_that_do_not_fit(
    tiny_bundle: Callable[..., Bundle], cohort: Cohort, tmp_path: Path
) -> None:
    predictor = Predictor(tiny_bundle())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="no store"):
        embed(predictor, cohort, ["all"], tmp_path / "full")
    with pytest.raises(UsageError, match="no split 'tset'"):
        embed(predictor, cohort, ["tset"], tmp_path / "s")
    wrong = replace(cohort, cases=(*cohort.cases[:5], replace(cohort.cases[5], labels={"answer": ("stork",)})))
    with pytest.raises(CohortError, match="stork"):  # before hours of work, not after
        embed(predictor, wrong, ["all"], tmp_path / "s")
    with pytest.raises(CohortError, match="no case in the split val"):
        embed(predictor, cohort, ["val"], tmp_path / "s")
    assert not (tmp_path / "s").exists()
    embed(predictor, cohort, ["test"], tmp_path / "s")
    with pytest.raises(UsageError, match="holds a store of bundle"):
        embed(Predictor(replace(predictor.bundle, id="0" * 16)), cohort, ["all"], tmp_path / "s")
    for path in Path(cohort.root).rglob("*.dcm"):
        path.write_bytes(b"")
    with pytest.raises(CohortError, match="Not one of 6 cases"):
        embed(predictor, cohort, ["all"], tmp_path / "t")
