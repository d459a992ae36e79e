import json
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from insula.audit.run import ORDER
from insula.cli import main, output
from insula.cli.audit_bench import PAGE
from insula.core.errors import UsageError
from insula.workflows.bench import run
from insula.workflows.bench.faults import CLEAN, FAULTS, Fault
from insula.workflows.bench.found import CHECKS
from insula.workflows.bench.page import holds, page
from insula.workflows.bench.run import LINES, Line, Say, find, read, tally

TEXT = next(fault for fault in FAULTS if fault.name == "text")


def lines(fault: str, names: tuple[str, ...], seeds: range, why: str = "") -> list[Line]:
    return [Line(fault, seed, names, 0.9, 1.0, why) for seed in seeds]


def test_a_fault_is_named_by_findings_of_its_own_kind_alone() -> None:
    found = tally(
        [
            *lines("text", ("marks/text", "subgroups/sex=F/sensitivity"), range(8)),
            *lines("text", ("marks/outline",), range(8, 10)),
            *lines("text", (), range(10, 12), why="nothing would be wrong"),
        ],
        (TEXT,),
    )[0]
    assert (found.n, found.named, found.without) == (10, 8, 2)
    assert found.others == {"subgroups/sex=F/sensitivity": 8, "marks/outline": 2}
    assert not holds([found])


def test_any_word_on_a_clean_cohort_is_a_false_alarm() -> None:
    quiet = tally(lines("clean", (), range(20)), (CLEAN,))[0]
    one = tally([*lines("clean", (), range(19)), *lines("clean", ("heat/border",), range(19, 20))], (CLEAN,))[0]
    two = tally([*lines("clean", (), range(18)), *lines("clean", ("heat/border",), range(18, 20))], (CLEAN,))[0]
    assert [each.named for each in (quiet, one, two)] == [0, 1, 2]
    assert [holds([each]) for each in (quiet, one, two)] == [True, True, False]
    assert not holds([])
    assert not holds(tally([], (TEXT,)))


def test_the_page_says_what_was_missed_and_what_clean_cohorts_gave() -> None:
    made = tally(
        [*lines("text", ("marks/text",), range(5)), *lines("text", (), range(5, 10)), *lines("clean", (), range(20))],
        (TEXT, CLEAN),
    )
    text = page(made, "insula audit --bench")
    assert (
        "| text | a letter burned in on positives | `marks/text`, `exchange/text` | 5 of 10 (19 to 81%) | 5 |" in text
    )
    assert "Named in fewer than nine of ten cohorts: text." in text
    assert "false alarms in 0 (0%, 0 to 17%)" in text


def test_a_bench_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def planted(fault: object, folder: Path, seed: int) -> Line:
        asked.append((str(getattr(fault, "name", "")), seed))
        return Line("text", seed, ("marks/text",), 0.9, 0.0)

    monkeypatch.setattr(run, "_planted", planted)
    done = Line("text", 0, ("marks/text",), 0.8, 5.0)
    (tmp_path / LINES).write_text(json.dumps(asdict(done)) + "\n" + '{"fault": "text", "se', encoding="utf-8")
    found = run.bench(tmp_path, (TEXT,), range(3), range(0), lambda said: None)
    assert asked == [("text", 1), ("text", 2)]
    assert found[0] == done
    assert [line.seed for line in read(tmp_path)] == [0, 1, 2]


class Travelling(ThreadPoolExecutor):
    """Threads in place of processes, to which work travels as it travels to processes: pickled."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        there, given = pickle.loads(pickle.dumps((fn, args)))
        return super().submit(there, *given, **kwargs)


def _planted(fault: Fault, folder: Path, seed: int) -> Line:
    return Line(fault.name, seed, fault.names[:1], 0.5 + seed / 100, 0.0)


def _changed(fault: Fault, base: int, folder: Path, seed: int) -> Line:
    return Line(fault.name, seed, (), 0.9, 0.0, "" if base == seed else "the base of another seed")


def test_two_workers_write_the_lines_that_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def threads(workers: int) -> Executor:
        asked.append(workers)
        return Travelling(workers)

    monkeypatch.setattr(run, "_processes", threads)
    monkeypatch.setattr(run, "_planted", _planted)
    monkeypatch.setattr(run, "_base", lambda folder, seed: seed)
    monkeypatch.setattr(run, "_changed", _changed)
    some = find(("text", "shuffled", "outline", "clean"))
    found = {
        workers: run.bench(tmp_path / str(workers), some, range(20, 23), range(20, 24), output.say, workers)
        for workers in (1, 2)
    }
    assert asked == [2]
    one, two = ([replace(line, seconds=0.0) for line in found[workers]] for workers in (1, 2))
    assert one == two
    assert [(line.fault, line.seed) for line in one] == [
        *((fault.name, seed) for fault in some[:3] for seed in range(20, 23)),
        *(("clean", seed) for seed in range(20, 24)),
    ]
    assert not any(line.why for line in one)
    for workers in (1, 2):
        assert sorted(map(str, read(tmp_path / str(workers)))) == sorted(map(str, found[workers]))
        assert [path.name for path in (tmp_path / str(workers)).iterdir()] == [LINES]


def test_seeds_and_processes_of_the_verb_are_those_of_the_bench_and_the_page_names_what_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[range, range, int]] = []

    def bench(out: Path, faults: Sequence[Fault], seeds: range, clean: range, say: Say, workers: int = 1) -> list[Line]:
        asked.append((seeds, clean, workers))
        return [*lines("text", ("marks/text",), seeds), *lines("clean", (), clean)]

    monkeypatch.setattr(run, "bench", bench)
    monkeypatch.setattr("torch.set_num_threads", lambda n: None)
    words = ("--seeds", "3", "--clean", "2", "--fault", "text", "--fault", "clean")
    for more in ((), ("--first-seed", "20", "--workers", "2")):
        monkeypatch.setattr("sys.argv", ["insula", "audit", "--bench", "--out", str(tmp_path), *words, *more])
        main.run()
    assert asked == [(range(3), range(2), 1), (range(20, 23), range(20, 22), 2)]
    told = (tmp_path / PAGE).read_text(encoding="utf-8")
    made = "insula audit --bench --out bench --seeds 3 --clean 2 --first-seed 20 --fault text --fault clean"
    assert f"Written by `{made}`." in told


def test_options_of_the_bench_are_refused_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--first-seed", "--workers"):
        monkeypatch.setattr("sys.argv", ["insula", "audit", "bundle", "cohort", "--out", str(tmp_path), option, "3"])
        with pytest.raises(SystemExit):
            main.run()
        assert f"{option} is for the bench of planted faults; add --bench" in capsys.readouterr().err


def test_faults_are_chosen_by_name() -> None:
    assert find(("text",)) == (TEXT,)
    assert find(()) == (*FAULTS, CLEAN)
    with pytest.raises(UsageError, match="no fault 'rust'; it has: patient-leak"):
        find(("rust",))


def test_every_part_of_an_audit_but_robustness_is_asked_and_every_fault_has_a_part() -> None:
    assert set(CHECKS) == set(ORDER) - {"robustness"}
    for fault in FAULTS:
        assert all(name.split("/")[0] in {*CHECKS, "check", "leaks"} for name in fault.names)
        assert bool(fault.plants) != (fault.change is not None)
