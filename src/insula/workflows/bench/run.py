"""All faults with several seeds, one line a cohort, so that a bench that was stopped goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from insula.core import children
from insula.core.errors import UsageError
from insula.core.provenance import write_text
from insula.workflows.bench import situation
from insula.workflows.bench.faults import CLEAN, FAULTS, Fault, WithoutEffectError
from insula.workflows.bench.found import look
from insula.workflows.bench.situation import Situation

LINES = "bench.jsonl"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One cohort: its fault, the names of all findings, the model's ROC-AUC, and how long it took in seconds.

    why: a reason where the fault could not be planted, since nothing would be wrong; then nothing was looked at.
    """

    fault: str
    seed: int
    names: tuple[str, ...]
    roc_auc: float
    seconds: float
    why: str = ""


def find(names: Sequence[str]) -> tuple[Fault, ...]:
    """The faults of these names; all with the clean control where none is named. UsageError for an unknown one."""
    known = {fault.name: fault for fault in (*FAULTS, CLEAN)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"The bench has no fault '{unknown[0]}'; it has: {', '.join(known)}.")
    return tuple(known[name] for name in (names or known))


def bench(
    folder: Path, faults: Sequence[Fault], seeds: Sequence[int], clean: Sequence[int], say: Say, workers: int = 1
) -> list[Line]:
    """Run what is not there yet; every finished cohort stands in `bench.jsonl`. clean: seeds of the clean control.

    What a seed's faults share, the clean cohort and its network, is made once for each seed. workers: processes, each
    with a seed of its own and one thread; then `say` is called there, and has to be a function of a module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = read(folder)
    write_text(folder / LINES, "".join(json.dumps(asdict(line)) + "\n" for line in kept))  # a torn end is cut off
    done = {(line.fault, line.seed) for line in kept}
    wanted = [(fault, seed) for fault in faults for seed in (clean if fault is CLEAN else seeds)]
    due: dict[int, list[str]] = {}
    for fault, seed in sorted(wanted, key=lambda one: one[1]):
        if (fault.name, seed) not in done:
            due.setdefault(seed, []).append(fault.name)
    if workers == 1:
        for seed, names in due.items():
            _seed(folder, seed, names, say)
    else:
        with _processes(workers) as pool:
            for work in [pool.submit(_seed, folder, seed, names, say) for seed, names in due.items()]:
                work.result()
    lines = {(line.fault, line.seed): line for line in read(folder)}
    return [lines[fault.name, seed] for fault, seed in wanted]


def _processes(workers: int) -> Executor:
    """Started anew and not forked, since PyTorch and ONNX Runtime have threads here already."""
    return children.pool(workers, _one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _seed(folder: Path, seed: int, names: Sequence[str], say: Say) -> None:
    """Run the faults of these names with one seed, and write each one's line down (a fault itself does not travel)."""
    place = folder / f"seed-{seed}"
    base: Situation | None = None
    for fault in find(names):
        begun = time.monotonic()
        if fault.plants:
            line = _planted(fault, place / fault.name, seed)
            shutil.rmtree(place / fault.name, ignore_errors=True)
        else:
            base = base or _base(place / "clean", seed)
            line = _changed(fault, base, place / fault.name, seed)
        line = replace(line, seconds=round(time.monotonic() - begun, 1))
        with (folder / LINES).open("ab", buffering=0) as file:  # one write, so that processes do not mix their lines
            file.write((json.dumps(asdict(line)) + "\n").encode())
        say(f"{fault.name}, seed {seed}: {', '.join(line.names) or line.why or 'nothing'} ({line.seconds:.0f} s)")
    shutil.rmtree(place, ignore_errors=True)


def read(folder: Path) -> list[Line]:
    """The lines of an earlier run; a torn last line is left out."""
    path = folder / LINES
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(text)
        except ValueError:
            continue
        found.append(Line(**{**row, "names": tuple(row["names"])}))
    return found


def _base(folder: Path, seed: int) -> Situation:
    table = situation.cohort(folder / "cohort", seed)
    return Situation(table, situation.trained(table, folder, seed))


def _planted(fault: Fault, folder: Path, seed: int) -> Line:
    table = situation.cohort(folder / "cohort", seed, fault.plants, fault.patients)
    found = look(Situation(table, situation.trained(table, folder, seed)), folder)
    return Line(fault.name, seed, found.names, found.roc_auc, 0.0)


def _changed(fault: Fault, base: Situation, folder: Path, seed: int) -> Line:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        at = fault.change(base, folder, seed) if fault.change else base
    except WithoutEffectError as error:
        return Line(fault.name, seed, (), float("nan"), 0.0, str(error))
    found = look(at, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Line(fault.name, seed, found.names, found.roc_auc, 0.0)


@dataclass(frozen=True)
class Tally:
    """Of one fault: in how many of n cohorts it was named, and how often what else was said."""

    fault: Fault
    n: int
    named: int
    others: Mapping[str, int]
    roc_auc: float
    without: int = 0


def tally(lines: Iterable[Line], faults: Sequence[Fault]) -> list[Tally]:
    """The faults in their order; of the clean control `named` counts the cohorts in which anything was said."""
    every = list(lines)
    found = []
    for fault in faults:
        of = [line for line in every if line.fault == fault.name]
        own = [line for line in of if not line.why]
        others: dict[str, int] = {}
        named = 0
        for line in own:
            mine = [name for name in line.names if fault.names and name.startswith(fault.names)]
            rest = [name for name in line.names if name not in mine]
            named += bool(mine or (fault is CLEAN and rest))
            for name in rest:
                others[name] = others.get(name, 0) + 1
        mean = sum(line.roc_auc for line in own) / len(own) if own else float("nan")
        found.append(Tally(fault, len(own), named, others, mean, len(of) - len(own)))
    return found
