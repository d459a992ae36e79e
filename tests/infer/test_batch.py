"""A batch gives the single prediction's row for every case, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.tiny_cohort import make

from insula.bundle.types import Bundle
from insula.core.cores import usable
from insula.core.errors import ScanError, UsageError
from insula.core.types import Cohort, FloatArray, Prediction
from insula.infer.batch import batch, shared_out
from insula.infer.batch_items import Item, of_cohort, of_folder
from insula.infer.batch_record import PLAN, Counts, lying, place
from insula.infer.decide import decide
from insula.infer.engine import Engine, Outputs
from insula.infer.predict import Predictor
from insula.infer.writers import as_dict

Made = Callable[..., Bundle]


class Stopped(Exception):  # noqa: N818 (it stands for a kill)
    pass


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return make(tmp_path / "scans", patients=7)


def run(predictor: Predictor, cohort: Cohort, out: Path, **options: Any) -> Counts:
    root = Path(cohort.root)
    return batch(predictor, of_folder(root, predictor.bundle.recipe), root, out, **options)


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return found


def test_each_row_is_the_single_prediction(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    counts = run(predictor, cohort, tmp_path / "t.parquet", ask=("dropout",), passes=8)
    found = rows(tmp_path / "t.parquet")
    assert [row["case"] for row in found] == [str(i) for i in range(7)]
    for row, case in zip(found, cohort.cases, strict=True):
        one = predictor.path(Path(cohort.root) / row["case"], 8, ask=["dropout"])
        told = as_dict(one, decide(one, predictor.bundle))
        for name, value in told["probabilities"].items():
            assert row[f"p_{name}"] == value
            assert row[f"dropout_spread_{name}"] == told["uncertainty"]["dropout"]["spread"][name]
        assert (row["label"], row["decision"], row["files"]) == (told["label"], told["decision"], 2)
        assert (row["confidence"], row["domain_score"]) == (told["confidence"], told["domain_score"])
        assert row["error"] is None
        assert case.patient not in str(row.values())  # nobody's id out of a header
    assert counts.rows == 7 == counts.accepted + counts.referred
    facts = pq.read_schema(tmp_path / "t.parquet").metadata
    assert facts[b"bundle"].decode() == predictor.bundle.id
    assert not place(tmp_path / "t.parquet").exists()


def test_a_cohort_gives_patients_and_the_same_figures(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    run(predictor, cohort, tmp_path / "a.parquet")
    batch(predictor, of_cohort(cohort, predictor.bundle.recipe), Path(cohort.root), tmp_path / "b.parquet")
    a, b = rows(tmp_path / "a.parquet"), rows(tmp_path / "b.parquet")
    assert [row["patient"] for row in b] == [case.patient for case in cohort.cases]
    assert [row["p_stroke"] for row in a] == [row["p_stroke"] for row in b]


def test_a_bad_file_is_a_row_with_its_reason(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    root = Path(cohort.root)
    (root / "2/0.dcm").write_bytes((root / "2/0.dcm").read_bytes()[:700])
    (root / "2/1.dcm").unlink()
    (root / "note.txt").write_text("no scan")
    counts = run(Predictor(tiny_bundle()), cohort, tmp_path / "t.parquet")
    found = {row["case"]: row for row in rows(tmp_path / "t.parquet")}
    assert (counts.rows, counts.failed) == (8, 2)
    for name in ("2/0.dcm", "note.txt"):
        assert (found[name]["decision"], found[name]["error"], found[name]["p_stroke"]) == (
            "reject",
            "unreadable_scan",
            None,
        )
        assert name.split("/")[-1] in found[name]["message"]


class Far(Predictor):
    """Finds one case far from training."""

    def from_slices(self, prepared: Any, key: str, *more: Any, **named: Any) -> Prediction:
        from dataclasses import replace

        found = super().from_slices(prepared, key, *more, **named)
        return replace(found, distances={"all": 9.0 if key == "3" else 0.5})


def test_a_rejected_case_has_no_figure(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    counts = run(Far(tiny_bundle()), cohort, tmp_path / "t.parquet")
    row = rows(tmp_path / "t.parquet")[3]
    assert (row["decision"], row["label"], row["positive"]) == ("reject", "", None)
    assert all(row[name] is None for name in ("p_normal", "p_stroke", "confidence"))
    assert "too unlike" in row["reasons"]
    assert counts.rejected == 1


@pytest.mark.parametrize(("provider", "at_once"), [("CPUExecutionProvider", 2), ("CUDAExecutionProvider", 1)])
def test_two_cases_are_in_the_network_at_once_and_no_more(
    provider: str, at_once: int, tiny_bundle: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, predictor = make(tmp_path / "scans", patients=8), Predictor(tiny_bundle(), 1)
    run(predictor, cohort, tmp_path / "one.parquet")
    predictor.engine.provider = provider
    meeting, guard, now, most = threading.Barrier(at_once, timeout=60), threading.Lock(), 0, 0
    alone = Engine.run

    def met(engine: Engine, feed: Mapping[str, FloatArray]) -> Outputs:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        meeting.wait()  # nobody goes on before as many as may be are here
        try:
            return alone(engine, feed)
        finally:
            with guard:
                now -= 1

    monkeypatch.setattr(Engine, "run", met)
    run(predictor, cohort, tmp_path / "two.parquet", readers=1, at_once=2)
    assert most == at_once
    assert rows(tmp_path / "two.parquet") == rows(tmp_path / "one.parquet")


def test_two_cases_share_all_threads(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    assert [shared_out(n) for n in (1, 2, 3, 4, 64)] == [(1, 1), (1, 2), (2, 2), (3, 2), (63, 2)]
    assert shared_out(None) == shared_out(usable())
    for threads in (3, 4):
        each, at_once = shared_out(threads)
        run(Predictor(tiny_bundle(), each), cohort, tmp_path / f"{threads}.parquet", at_once=at_once)
    assert rows(tmp_path / "3.parquet") == rows(tmp_path / "4.parquet")


def test_what_is_done_is_not_done_again(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    predictor, out = Predictor(tiny_bundle()), tmp_path / "t.parquet"
    run(predictor, cohort, tmp_path / "whole.parquet")
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(3))
    assert not out.exists()
    counts = run(predictor, cohort, out)
    assert (counts.kept, counts.rows) == (3, 7)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))


def stop_at(count: int) -> Callable[[Counts], None]:
    def watch(counts: Counts) -> None:
        if counts.rows == count:
            raise Stopped

    return watch


def test_a_changed_file_is_predicted_anew_and_a_missing_one_leaves(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    predictor, out, root = Predictor(tiny_bundle()), tmp_path / "t.parquet", Path(cohort.root)
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(5))
    for k in range(2):
        (root / f"1/{k}.dcm").write_bytes((root / f"0/{k}.dcm").read_bytes() + b"\0\0")
        (root / f"2/{k}.dcm").unlink()
    counts = run(predictor, cohort, out)
    found = rows(out)
    assert [row["case"] for row in found] == ["0", "1", "3", "4", "5", "6"]
    assert found[0]["p_stroke"] == found[1]["p_stroke"]
    assert counts.kept == 3


class Weak(Predictor):
    """Has no memory left for one case, the first time."""

    tried = 0

    def prepared_of(self, volumes: Any) -> Any:
        first = next(iter(volumes.values()))[0]
        if Path(first.source).name == "4":
            type(self).tried += 1
            if type(self).tried == 1:
                raise MemoryError
        return super().prepared_of(volumes)


def test_what_may_be_the_machines_fault_is_tried_again(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    bundle, out = tiny_bundle(), tmp_path / "t.parquet"
    Weak.tried = 0
    with pytest.raises(Stopped):
        run(Weak(bundle), cohort, out, watch=stop_at(6))
    counts = run(Weak(bundle), cohort, out)
    run(Predictor(bundle), cohort, tmp_path / "whole.parquet")
    assert Weak.tried == 2
    assert (counts.failed, counts.kept) == (0, 5)
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))


def test_other_choices_another_name_or_a_table_that_is_there_are_refused(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    predictor, out = Predictor(tiny_bundle()), tmp_path / "t.parquet"
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(2))
    with pytest.raises(UsageError, match="with other choices"):
        run(predictor, cohort, out, ask=("dropout",), passes=5)
    with pytest.raises(UsageError, match=r"write --out NAME\.parquet"):
        run(predictor, cohort, tmp_path / "t.xlsx")
    run(predictor, cohort, out)
    with pytest.raises(UsageError, match="is there already"):
        run(predictor, cohort, out)
    (tmp_path / "u.parquet.part").mkdir()
    (tmp_path / "u.parquet.part/mine.txt").touch()
    with pytest.raises(UsageError, match="in the way"):
        run(predictor, cohort, tmp_path / "u.parquet")


def test_a_folder_without_scans_is_told(tiny_bundle: Made, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    out = tmp_path / "new/t.parquet"
    with pytest.raises(ScanError, match="'scans' holds no file"):
        run(Predictor(tiny_bundle()), Cohort((), str(tmp_path / "scans")), out)
    assert not out.parent.exists()


def test_scans_that_lie_elsewhere_do_not_take_a_stopped_batch_over(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    """They did, and the rows that were done were removed without a word."""
    predictor, out, other = Predictor(tiny_bundle()), tmp_path / "t.parquet", make(tmp_path / "other", patients=2)
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(3))
    with pytest.raises(UsageError, match=r"scans', not '.*other'; .* another --out; .* remove the folder"):
        run(predictor, other, out)
    assert run(predictor, cohort, out).kept == 3


def test_a_record_that_does_not_say_where_the_scans_lie_is_gone_on_with(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path
) -> None:
    predictor, out = Predictor(tiny_bundle()), tmp_path / "t.parquet"
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(3))
    plan = json.loads((place(out) / PLAN).read_text())
    assert plan.pop("scans") == str(Path(cohort.root).resolve())
    (place(out) / PLAN).write_text(json.dumps(plan))
    with pytest.raises(Stopped):
        run(predictor, cohort, out, watch=stop_at(5))
    assert "scans" in json.loads((place(out) / PLAN).read_text())
    assert run(predictor, cohort, out).kept == 5


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://bucket/archive/", "s3://bucket/archive"),
        ("ftp://me:secret@server/scans?key=secret", "ftp://server/scans"),
        ("s3://bucket/me@home", "s3://bucket/me@home"),
    ],
)
def test_an_address_is_recorded_without_what_may_be_a_key(address: str, told: str) -> None:
    assert lying(address) == told


@pytest.mark.skipif(sys.platform != "linux", reason="the names of open files stand below /proc")
def test_the_table_is_on_the_disk_before_its_journal_goes(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power failure could take both: the table or its name was not flushed when the journal was removed."""
    done: list[tuple[str, Path]] = []
    rename, remove = Path.replace, shutil.rmtree

    def renamed(old: Path, new: Path) -> Path:
        done.append(("renamed to", new))
        return rename(old, new)

    def removed(path: Path, *more: Any, **told: Any) -> None:
        done.append(("removed", Path(path)))
        remove(path, *more, **told)

    monkeypatch.setattr(
        os, "fsync", lambda handle: done.append(("flushed", Path(f"/proc/self/fd/{handle}").readlink()))
    )
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    out = tmp_path.resolve() / "t.parquet"
    run(Predictor(tiny_bundle()), cohort, out)
    new = out.with_name(".t.parquet.new")
    wanted = [("flushed", new), ("renamed to", out), ("flushed", out.parent), ("removed", place(out))]
    assert [one for one in done if one in wanted] == wanted
    assert out.is_file()
    assert not place(out).exists()


def test_few_cases_are_on_their_way_at_once(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    predictor, root = Predictor(tiny_bundle()), Path(cohort.root)
    drawn, most, done = 0, 0, 0

    def items() -> Iterator[Item]:
        nonlocal drawn, most
        for item in of_folder(root, predictor.bundle.recipe):
            drawn += 1
            most = max(most, drawn - done)
            yield item

    def watch(counts: Counts) -> None:
        nonlocal done
        done = counts.rows

    batch(predictor, items(), root, tmp_path / "t.parquet", readers=1, watch=watch)
    assert most <= 3  # one is read, one waits, one is looked for ahead


def killed(folder: Path, cohort: Cohort, out: Path, after: int) -> int:
    """Start a batch, kill it when it has said so many rows, and return how many those were."""
    command = [sys.executable, "-m", "tests.infer.batch_killed", str(folder), cohort.root, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [line for _, line in zip(range(after), process.stdout, strict=False)]
        process.kill()
    return len(said)


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_batch_that_is_killed_anywhere_ends_with_the_table_of_an_unbroken_one(
    count: int, tiny_bundle: Made, tmp_path: Path
) -> None:
    cohort = make(tmp_path / "scans", patients=24)
    bundle = tiny_bundle()
    run(Predictor(bundle), cohort, tmp_path / "whole.parquet")
    whole = pq.read_table(tmp_path / "whole.parquet")
    draw = random.Random(count)
    for number in range(count):
        out = tmp_path / f"{number}.parquet"
        for _ in range(draw.randint(1, 2)):
            killed(Path(bundle.path), cohort, out, draw.randint(0, 14))
        counts = run(Predictor(bundle), cohort, out)
        assert counts.rows == 24
        assert pq.read_table(out).equals(whole), f"kill {number}"
