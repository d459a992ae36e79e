"""Size, time and accuracy of one network in single precision, in integers, pruned and taught; writes a page of results.

    python scripts/optimise_study.py --write docs/results/optimise.md [--stroke shared/data/stroke_ct]

Every step is a command of Insula that stands in the page. What is there already under --work is not made again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "benchmarks"))

import machine  # noqa: E402 - the benchmarks are no package

FORMS = ("whole", "ensemble", "int8", "channels", "channels-int8", "weights", "taught", "taught-int8")


@dataclass(frozen=True)
class Set:
    """One set of patients: its name and heading, its recipe, what makes its table, and how it is split."""

    name: str
    title: str
    recipe: str
    prep: str
    table: tuple[str, ...]
    fractions: tuple[str, ...]
    max_loss: str
    about: str


def commands(one: Set, work: Path, epochs: int, members: int, tuned: int) -> list[tuple[Path, list[str]]]:
    """What each step leaves, and the arguments of `insula` that make it."""
    home, cache = work / one.name, str(work / "cache")
    table, run = home / "split.parquet", home / "run"
    settings = (
        one.prep,
        "model.encoder=resnet18",
        "model.pretrained=false",
        "model.pool=max",
        f"model.members={members}",
        f"train.epochs={epochs}",
        "train.lr=0.001",
    )
    whole, ensemble = run / "member-0" / "bundle", run / "bundle"
    chosen = [word for text in settings for word in ("--set", text)]
    same = [str(table), "--cache", cache, "--max-loss", one.max_loss]
    cut = ["--epochs", str(tuned), "--keep", "0.5"]
    steps = [
        (home / "cohort.parquet", [*one.table, "--recipe", one.recipe, "--out", str(home / "cohort.parquet")]),
        (
            table,
            ["split", str(home / "cohort.parquet"), "--recipe", one.recipe, "--out", str(table), *one.fractions],
        ),
        (
            ensemble,
            ["train", str(table), "--recipe", one.recipe, *chosen, "--out", str(run), "--cache", cache, "--resume"],
        ),
        (home / "int8", ["optimise", str(whole), *same, "--out", str(home / "int8")]),
        (
            home / "channels",
            ["optimise", str(whole), *same, "--method", "channels", *cut, "--out", str(home / "channels")],
        ),
        (home / "channels-int8", ["optimise", str(home / "channels"), *same, "--out", str(home / "channels-int8")]),
        (
            home / "weights",
            ["optimise", str(whole), *same, "--method", "weights", *cut, "--out", str(home / "weights")],
        ),
        (
            home / "taught",
            [
                *("optimise", str(ensemble), *same, "--method", "distil", "--set", "model.encoder=simple_cnn"),
                *("--set", f"train.epochs={2 * epochs}", "--set", "train.lr=0.003", "--out", str(home / "taught")),
            ],
        ),
        (home / "taught-int8", ["optimise", str(home / "taught"), *same, "--out", str(home / "taught-int8")]),
    ]
    paths = {name: str(home / name) for name in FORMS} | {"whole": str(whole), "ensemble": str(ensemble)}
    page = ["pareto", *(paths[name] for name in FORMS), "--cohort", str(table), "--out", str(home / "pareto")]
    return [*steps, (home / "pareto", page)]


def make(one: Set, steps: Sequence[tuple[Path, list[str]]]) -> None:
    """Take the steps whose outcome is not there yet; stops with the error of the one that failed."""
    for out, words in steps:
        if out.exists():
            continue
        if "--resume" in words and not (Path(words[words.index("--out") + 1]) / "member-0").exists():
            words = [word for word in words if word != "--resume"]
        print(f"[{one.name}] insula {shlex.join(words)}", flush=True)
        subprocess.run([sys.executable, "-m", "insula", *words], check=True)


def section(one: Set, work: Path, steps: Sequence[tuple[Path, list[str]]]) -> str:
    """The part of the page about one set."""
    home = work / one.name
    record = json.loads((home / "pareto" / "report.json").read_text(encoding="utf-8"))
    said = [
        f"insula {shlex.join(word for word in words if word != '--resume')}".replace(str(work), "work")
        for _, words in steps
    ]
    said[0] = said[0].replace(one.table[1], "STROKE_CT") if one.name == "stroke" else said[0]
    lines = [
        f"## {one.title}",
        "",
        one.about,
        "",
        f"{record['patients']} patients of the test split, {record['positives']} with {record['facts']['positive']}; "
        f"one thread of this machine, {record['timed']} cases in turn. Differences are from the first row.",
        "",
        (home / "pareto" / "pareto.md").read_text(encoding="utf-8").rstrip(),
        "",
        *_zeros(home),
        "```sh",
        *said,
        "```",
        "",
    ]
    return "\n".join(lines)


def _zeros(home: Path) -> list[str]:
    told = json.loads((home / "weights" / "metrics.json").read_text(encoding="utf-8"))["optimised"]
    share = 100 * told["zeros"] / told["weights"]
    return [f"In `weights` {share:.0f}% of the encoder's weights are zero.", ""]


def page(parts: Sequence[str]) -> str:
    """The whole page."""
    lines = [
        "# What smaller networks cost and gain",
        "",
        "Written by `.venv/bin/python scripts/optimise_study.py --write docs/results/optimise.md --stroke STROKE_CT`;",
        f"all rows of a table come from one run of `insula pareto`. Machine: {machine.described(1)}.",
        "",
        "A ResNet-18 from random weights (`whole`), three of them averaged (`ensemble`), the first in 8-bit integers",
        "(`int8`), with half of its channels (`channels`), both (`channels-int8`), with half of its weights zero",
        "(`weights`), a SimpleCNN taught by the three (`taught`), and that in integers. See",
        "[optimise.md](../optimise.md) for what each is.",
        "",
    ]
    return "\n".join([*lines, *parts])


def main() -> None:
    """Make what is missing and write the page."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--work", type=Path, default=HERE / "runs" / "optimise-study")
    asked.add_argument("--write", type=Path)
    asked.add_argument("--stroke", type=Path, help="the folder stroke_ct; without it the made patients alone")
    asked.add_argument("--patients", type=int, default=600)
    asked.add_argument("--epochs", type=int, default=10)
    asked.add_argument("--tuned", type=int, default=5)
    asked.add_argument("--members", type=int, default=3)
    asked.add_argument("--max-loss", type=float, default=0.05, help="the most ROC-AUC a form may lose on made patients")
    given = asked.parse_args()
    scans = given.work / "phantoms" / "scans"
    if not scans.exists():
        order = ("phantom", "haemorrhage-ct", str(scans), "--patients", str(given.patients), "--size", "64")
        subprocess.run([sys.executable, "-m", "insula", *order, "--slices", "8"], check=True)
    sets = [
        Set(
            "phantoms",
            "Made head CT: is there a haemorrhage?",
            "haemorrhage-ct",
            "inputs.ct.prep=[windows: [[40, 80], [600, 2800]], resize: 64]",
            ("index", str(scans)),
            ("--fractions", "0.4", "0.25", "0.35"),
            f"{given.max_loss:g}",
            f"{given.patients} made patients, 8 slices of 64² pixels, a quarter of them to validate. Forms that may "
            f"lose more than {given.max_loss:g} of ROC-AUC on those would have been refused.",
        )
    ]
    if given.stroke:
        sets.append(
            Set(
                "stroke",
                "Stroke on CT: 62 real patients",
                "stroke-ct",
                "inputs.ct.prep=[windows: {value: [[40, 80]], pictures: as_shown}, resize: 64]",
                ("index", str(given.stroke)),
                ("--fractions", "0.4", "0.25", "0.35"),
                "1",
                "The set of [stroke-ct.md](stroke-ct.md), of which so few patients teach next to nothing: look at "
                "size, time and agreement, and at how wide the intervals are. With so few validation patients every "
                "form would be refused by default; `--max-loss 1` lets them pass.",
            )
        )
    parts = []
    for one in sets:
        (given.work / one.name).mkdir(parents=True, exist_ok=True)
        steps = commands(one, given.work, given.epochs, given.members, given.tuned)
        make(one, steps)
        parts.append(section(one, given.work, steps))
    text = page(parts)
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
