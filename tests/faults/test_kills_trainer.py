"""`insula train` killed at random moments and resumed ends with the weights and the bundle of an unbroken run."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.made_killed_site import descendants, orphans
from tests.faults.made_zygote import Command, Zygote, zygote
from tests.faults.tally import Tally
from tests.tiny_bundle import recipe
from tests.tiny_cohort import make

from insula.bundle.load import load
from insula.cohort import table
from insula.core import recipe as recipes

MODULES = ("insula.cli.training", "insula.train.fit", "insula.export.finish")
EPOCHS = 6
TORCH = "torchinductor_"  # a folder of compiled code that PyTorch makes for each user of a machine, and keeps
EXPORTS = 3  # one of so many writes its bundle too, and may be killed while it does


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [30])
def test_a_training_run_that_is_killed(tmp_path: Path, tally: Tally, kills: int) -> None:
    draw = random.Random(55)
    cohort = make(tmp_path / "scans", patients=18)
    cases = tuple(replace(case, split="train" if k < 12 else "val") for k, case in enumerate(cohort.cases))
    table.save(replace(cohort, cases=cases, split_level="patient"), tmp_path / "cohort.parquet")
    (tmp_path / "recipe.yaml").write_text(recipes.dump(recipe()))
    (tmp_path / "tmp").mkdir()
    done = differ = left_alive = in_export = 0
    left: list[str] = []
    lines: list[str] = []
    with zygote(*MODULES) as source:
        took: dict[bool, float] = {}
        whole: dict[bool, tuple[bytes, list[str]]] = {}
        for exports in (False, True):
            begun = time.monotonic()
            command = _train(source, tmp_path, f"whole-{exports}", exports)
            assert command.wait() == 0, command.said()
            took[exports] = time.monotonic() - begun
            whole[exports] = _made(tmp_path / f"whole-{exports}")
        for number in range(kills):
            exports, name = number % EXPORTS == 0, f"run-{number}"
            for _ in range(3):  # one that was quicker than its kill is tried again
                shutil.rmtree(tmp_path / name, ignore_errors=True)
                command = _train(source, tmp_path, name, exports)
                time.sleep(draw.uniform(0.0, 1.1 * took[exports]))
                children = descendants(command.pid)
                if command.kill(signal.SIGKILL) != 0:
                    break
            else:
                continue
            done += 1
            in_export += (tmp_path / name / "weights.safetensors").is_file()
            left_alive += bool(orphans(children))
            begun_before = (tmp_path / name / "recipe.yaml").is_file()
            again = _train(source, tmp_path, name, exports, *(["--resume"] if begun_before else []))
            assert again.wait() == 0, again.said()
            found = _made(tmp_path / name)
            other, gone = found[0] != whole[exports][0], sorted(set(whole[exports][1]) - set(found[1]))
            differ += other or bool(gone)  # a resumed run has further curves
            left += [path for path in found[1] if Path(path).name.startswith(".")]
            left += [path.name for path in (tmp_path / "tmp").iterdir() if not path.name.startswith(TORCH)]
            lines.append(f"{name}: exports {exports}, resumed {begun_before}, other weights {other}, files gone {gone}")
            if exports:
                load(tmp_path / name / "bundle")  # whole, by its hashes
            shutil.rmtree(tmp_path / name)
    tally.log("trainer.txt").write_text("\n".join([*lines, *left]) + "\n")
    tally.tried(
        "`insula train` killed (-9) and resumed: its weights against those of an unbroken run",
        done,
        lost=differ,
        leaked=left_alive + len(left),
        figures={"epochs of a run": EPOCHS, "killed after the last epoch": in_export},
    )


def _train(source: Zygote, folder: Path, name: str, exports: bool, *more: str) -> Command:
    words = ["train", str(folder / "cohort.parquet"), "--recipe", str(folder / "recipe.yaml")]
    words += ["--out", str(folder / name), "--cache", str(folder / "cache"), "--accelerator", "cpu"]
    for one in ("model.encoder=simple_cnn", "model.pretrained=false", f"train.epochs={EPOCHS}", "train.batch=4"):
        words += ["--set", one]
    words += ["--export" if exports else "--no-export", *more]
    return source.start(words, {"TMPDIR": str(folder / "tmp")}, folder / f"{name}.log")


def _made(folder: Path) -> tuple[bytes, list[str]]:
    """The weights, and the names of all files."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return (folder / "weights.safetensors").read_bytes(), names
