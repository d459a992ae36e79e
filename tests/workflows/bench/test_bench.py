import json
from dataclasses import asdict
from pathlib import Path

import pytest

from insula.audit.run import ORDER
from insula.core.errors import UsageError
from insula.workflows.bench import run
from insula.workflows.bench.faults import CLEAN, FAULTS
from insula.workflows.bench.found import CHECKS
from insula.workflows.bench.page import holds, page
from insula.workflows.bench.run import LINES, Line, find, read, tally

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
