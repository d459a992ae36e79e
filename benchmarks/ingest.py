"""From a DICOM series to model-ready windows, against straightforward MONAI and SimpleITK pipelines and the codec.

The series: 28 slices of 512², the real head of the measuring data where it is there (its slices put on an even grid, so
that no side has to resample), a phantom otherwise, stored in every transfer syntax that can be written here. The task
of each pipeline: three CT windows as float32 (28, 3, 224, 224). Each is one call in one process and may use all cores;
it counts only if its pictures are Insula's but for the way of shrinking.

- The floor: parsing by pydicom and decoding by the codec that Insula uses, in one thread, one copy to float32 and one
  of the result. `alone` is Insula in this process; `cache` is Insula as the prepared cache runs it, four series through
  two decoding processes (the hashing of the files left out), per series.
- The bound: that codec on the frames alone, in memory already, on all cores, in the same run. No pipeline around this
  codec can be faster. Where another library is less than three times slower than the bound, three times is out of
  reach, and what Insula has to do is to keep to the floor.

All sides are interleaved. On a busy machine threads gain nothing: what they gain is measured and told, and so is each
side's processor time. Needs the extra `bench` (MONAI, SimpleITK, imagecodecs); a side that is not installed, cannot
read a syntax or shows something else is said to be missing. `--write PAGE` writes the tables as a page.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ingest_sides import (
    PROCESSES,
    SECTION,
    SERIES,
    SYNTAXES,
    bare,
    codec,
    copies,
    monai_pipeline,
    ours,
    several,
    simpleitk,
    source,
    store,
)

from insula.prep.cache import Prepared, build
from insula.scans import threads
from insula.scans.read import read_files
from insula.scans.sandbox import Sandbox

ROUNDS = 11
GOALS = {"least_times_faster": 3.0, "most_times_floor": 1.5, "windows_times_copy": 2.0, "epoch_times_decode": 50.0}
OTHERS = ("MONAI", "SimpleITK")
IDLE = 0.8  # share of its cores that a machine has to give this process for its figures to be those of its cores
ALIKE = 0.03  # mean difference of two pipelines' windows, which lie in [0, 1]; they shrink in different ways


def interleaved(sides: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """Medians in ms of each side's time and processor time in this process; a round before counts for nothing.

    Each round has an order of its own: a side that fills the caches with its own pixels slows down whoever comes next.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    rng = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for name in rng.permutation(list(sides)):
            side = sides[name]
            start, spent = time.perf_counter(), time.process_time()
            side()
            if turn:
                times[name].append((time.perf_counter() - start, time.process_time() - spent))
    return {
        name: (1000 * statistics.median(wall), 1000 * statistics.median(processor))
        for name, pairs in times.items()
        for wall, processor in [tuple(zip(*pairs, strict=True))]
    }


def series(files: list[Path], name: str, folder: Path, pool: Sandbox) -> dict[str, Any] | None:
    """One syntax: prints its line, returns times and ratios; None where it cannot be written here."""
    try:
        stored = store(files, name, folder / name.replace(" ", "-"))
    except Exception as error:  # whatever an encoder raises
        print(f"{name:<14} cannot be written here ({type(error).__name__}: {str(error)[:80]})")
        return None
    reference, raw = ours(stored), codec(stored)
    sides: dict[str, Callable[[], object]] = {
        "alone": lambda: ours(stored),
        "cache": lambda: several(stored, pool),
        "codec": lambda: codec(stored),
        "copy": lambda: copies(raw, reference),
        "bare": bare(stored),
    }
    missing = {}
    for label, make in zip(OTHERS, (monai_pipeline, lambda: simpleitk), strict=True):
        try:
            run = make()
            made = run(stored)
            if made.shape != reference.shape or float(np.abs(made - reference).mean()) > ALIKE:
                raise ValueError("other pictures")
            sides[label] = lambda run=run: run(stored)  # type: ignore[misc]
        except Exception as error:  # a side that is not installed, or cannot read the syntax
            missing[label] = f"{type(error).__name__}: {str(error)[:60]}"
    both = interleaved(sides)
    times = {label: wall for label, (wall, _) in both.items()}
    times["cache"] /= SERIES
    floor = times["codec"] + times["copy"]
    found: dict[str, Any] = {
        "ms": times,
        "processor_ms": {label: processor for label, (_, processor) in both.items() if label != "cache"},
        "floor_alone": times["alone"] / floor,
        "floor_cache": times["cache"] / floor,
        "faster": {label: times[label] / times["alone"] for label in OTHERS if label in times},
        "bound": {label: times[label] / times["bare"] for label in OTHERS if label in times},
        "missing": missing,
    }
    print(" | ".join(cells(name, found)) + "".join(f"   {label} is missing: {why}" for label, why in missing.items()))
    return found


HEADS = [f"{'syntax':<14}", " alone", " cache", " codec", "  copy", "codec, all cores", "x floor alone, cache"]
HEADS += [f"{label}: ms, times faster, bound" for label in OTHERS]


def cells(name: str, found: dict[str, Any]) -> list[str]:
    """A row of the table."""
    times = found["ms"]
    row = [
        f"{name:<14}",
        *(f"{times[side]:>6.1f}" for side in ("alone", "cache", "codec", "copy")),
        f"{times['bare']:>16.1f}",
    ]
    row.append(f"{found['floor_alone']:>13.2f}, {found['floor_cache']:.2f}")
    for label in OTHERS:
        if label in times:
            mark = verdict(found, label)
            row.append(f"{times[label]:>7.1f}, {found['faster'][label]:>4.1f}, {found['bound'][label]:>5.1f} {mark}")
        else:
            row.append("missing")
    return row


def verdict(found: dict[str, Any], label: str) -> str:
    """Whether a side's ratio meets the goal, or the codec's bound shows that none can."""
    if found["faster"][label] >= GOALS["least_times_faster"]:
        return "met"
    return "out of reach" if found["bound"][label] < GOALS["least_times_faster"] else "missed"


def windowing(files: list[Path]) -> float:
    """Windows alone against writing their result once (no resize)."""
    from insula.prep.run import apply

    volume = read_files(files)
    step = SECTION.prep[0]
    made = apply(volume, step).array
    times = interleaved({"windows": lambda: apply(volume, step), "copy": lambda: made.copy()})
    window, copy = times["windows"][0], times["copy"][0]
    print(f"windows {window:.1f} ms, copy of their result {copy:.1f} ms: {window / copy:.2f} times")
    return window / copy


def epoch(stored: dict[str, list[Path]], folder: Path) -> dict[str, Any]:
    """Reading every slice of a prepared cache in random order against decoding the series again, and against a copy.

    The bound: how many times faster than decoding it is to copy what an epoch reads, within memory.
    """
    from insula.core.types import Case, Scan

    files = stored["uncompressed"]
    case = Case("a", "a", {"ct": Scan(tuple(p.name for p in files), "dicom")}, {})
    prepared: Prepared = build([case], files[0].parent, "ct", SECTION, folder / "cache")
    order = np.random.default_rng(0).permutation(len(prepared.slices))
    held = np.array(prepared.slices)

    def cached(slices: np.ndarray) -> float:
        return float(sum(np.array(slices[i])[0, 0, 0] for i in order))

    sides: dict[str, Callable[[], object]] = {"cache": lambda: cached(prepared.slices), "copy": lambda: cached(held)}
    sides |= {name: lambda paths=paths: ours(paths) for name, paths in stored.items()}  # type: ignore[misc]
    times = {name: wall for name, (wall, _) in interleaved(sides).items()}
    found = {
        "times_decode": {name: times[name] / times["cache"] for name in stored},
        "bound": {name: times[name] / times["copy"] for name in stored},
        "times_copy": times["cache"] / times["copy"],
    }
    told = ", ".join(
        f"{name} {ratio:.0f} ({found['bound'][name]:.0f})" for name, ratio in found["times_decode"].items()
    )
    print(f"an epoch from the cache, times faster than decoding again (and the bound by a copy): {told}")
    return found


def epoch_said(found: dict[str, Any]) -> str:
    """The epoch's ratios in a sentence."""
    ratios, goal = found["times_decode"].values(), GOALS["epoch_times_decode"]
    short = ", ".join(name for name, bound in found["bound"].items() if bound < goal)
    return (
        f"An epoch from the prepared cache is {min(ratios):.0f} to {max(ratios):.0f} times as fast as decoding again "
        f"(goal: {goal:.0f}), and takes {found['times_copy']:.2f} times a copy of the same slices within memory."
        + (f" Not even that copy would reach the goal for: {short}." if short else "")
    )


def epoch_holds(found: dict[str, Any]) -> bool:
    """Whether each ratio meets the goal, or a copy could not meet it and the cache is within 1.5 times of one."""
    goal, near = GOALS["epoch_times_decode"], found["times_copy"] <= GOALS["most_times_floor"]
    return all(ratio >= goal or (near and found["bound"][name] < goal) for name, ratio in found["times_decode"].items())


def rounded(value: Any) -> Any:
    """Figures with two decimals, through dictionaries and lists."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 2) if isinstance(value, float) else value


def machine() -> str:
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {threads.COUNT} cores used, {platform.system()}, Python {platform.python_version()}"


def quiet() -> float:
    """How many times the work of one thread all threads do: on an idle machine the number of its cores."""
    data = [np.random.default_rng(k).integers(0, 50, 400_000, np.uint8).tobytes() for k in range(4 * threads.COUNT)]
    times = interleaved(
        {"one": lambda: [zlib.compress(d) for d in data], "all": lambda: threads.each(zlib.compress, data)}, 5
    )
    return times["one"][0] / times["all"][0]


def page(rows: dict[str, dict[str, Any]], said: list[str], windows: float, cached: dict[str, Any]) -> str:
    """The tables as Markdown."""
    heads = ["syntax", "alone", "cache", "codec", "copy", "codec on all cores", "times floor: alone, cache"]
    heads += [f"{label}: ms, times faster, bound" for label in OTHERS]
    spent = ["syntax", "alone", "codec", *OTHERS]
    lines = [
        "# From a DICOM series to model-ready windows",
        "",
        "Written by `make bench-ingest` (`python benchmarks/ingest.py --write docs/results/ingest.md`).",
        f"Measured on: {said[0]}.",
        "",
        *PROSE.splitlines(),
        "",
        "| " + " | ".join(heads) + " |",
        "|---|" + "---:|" * (len(heads) - 1),
        *("| " + " | ".join(cell.strip() for cell in cells(name, row)) + " |" for name, row in rows.items()),
        "",
        "The same as processor time in ms, which a busy machine changes less:",
        "",
        "| " + " | ".join(spent) + " |",
        "|---|" + "---:|" * (len(spent) - 1),
        *(
            f"| {name} | "
            + " | ".join(f"{row['processor_ms'].get(side, float('nan')):.0f}" for side in spent[1:])
            + " |"
            for name, row in rows.items()
        ),
        "",
        f"- Windows alone take {windows:.2f} times a copy of their result (goal: at most "
        f"{GOALS['windows_times_copy']:.0f}).",
        f"- {epoch_said(cached)}",
        *(f"- {line}" for line in said[1:]),
        "",
    ]
    return "\n".join(lines)


PROSE = f"""28 slices of 512² become three windows of 224² in float32; medians of {ROUNDS} interleaved rounds, in ms.

- `alone`: Insula, one call in one process. `cache`: as the prepared cache runs it, {SERIES} series through {PROCESSES}
  decoding processes, per series.
- The floor: `codec` (parsing by pydicom and decoding by the codec that Insula uses, in one thread) and `copy` (the
  values to float32, and the result). Goal: at most {GOALS["most_times_floor"]} times.
- The others are one call each as well: MONAI's LoadImage, ScaleIntensityRange and Resize; SimpleITK's series reader,
  IntensityWindowing and Resample. Goal: to be at least {GOALS["least_times_faster"]:.0f} times faster.
- The bound: how many times faster `codec on all cores` is than the other library, the frames in memory already. No
  pipeline around this codec passes it. Where it is below the goal, the goal is out of reach on this machine, and Insula
  has to keep to the floor."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    said, gains = [machine()], [quiet()]
    print(said[0])
    print(f"medians in ms of {ROUNDS} rounds for 28 slices of 512²; goals: {GOALS}")
    print(" | ".join(HEADS))
    with tempfile.TemporaryDirectory() as name, Sandbox(PROCESSES).start(PROCESSES) as pool:
        folder = Path(name)
        files = source(folder)
        rows = {syntax: found for syntax in SYNTAXES if (found := series(files, syntax, folder, pool)) is not None}
        stored = {syntax: sorted((folder / syntax.replace(" ", "-")).iterdir()) for syntax in rows}
        windows, cached = windowing(stored["uncompressed"]), epoch(stored, folder)
    gains.append(quiet())
    said.append(
        f"{threads.COUNT} threads did {gains[0]:.2f} times the work of one before and {gains[1]:.2f} times after"
        + (": other work kept the cores busy, measure again" if min(gains) < IDLE * threads.COUNT else "")
    )
    judged = {(name, label): verdict(row, label) for name, row in rows.items() for label in row["faster"]}
    for word in ("missed", "out of reach"):
        listed = ", ".join(f"{name} against {label}" for (name, label), mark in judged.items() if mark == word)
        said += [f"three times is {word}: {listed}"] if listed else []
    print("\n".join(said[1:]))
    floors = {name: max(row["floor_alone"], row["floor_cache"]) for name, row in rows.items()}
    figures = rounded(
        {
            "least_times_faster": min((v for row in rows.values() for v in row["faster"].values()), default=None),
            "most_times_floor": max(floors.values()),
            "windows_times_copy": windows,
            "epoch_times_decode": min(cached["times_decode"].values()),
            "epoch": cached,
            "threads_times_one": gains,
            "missed": [f"{name}, {label}" for (name, label), mark in judged.items() if mark == "missed"],
            "out_of_reach": [f"{name}, {label}" for (name, label), mark in judged.items() if mark == "out of reach"],
            "by_syntax": rows,
        }
    )
    holds = (
        bool(judged)
        and "missed" not in judged.values()
        and max(floors.values()) <= GOALS["most_times_floor"]
        and windows <= GOALS["windows_times_copy"]
        and epoch_holds(cached)
    )
    if arguments.write:
        arguments.write.write_text(page(rows, said, windows, cached), encoding="utf-8")
    print(json.dumps({"bench": "ingest", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
