"""Two processes that train together come to what one process comes to.

Their sums of gradients are added in another order, so the weights are equal within rounding: 1e-5 in absolute terms
after a few steps of SGD at a rate of 0.02, where one step moves a weight by up to 1e-3.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.made_arrays import SETTINGS, cohort, recipe
from tests.train import curves, two_processes

from insula.cohort import table
from insula.train.fit import fit

pytestmark = pytest.mark.train
NEAR = 1e-5


def started(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, one thread a process, without what pytest's own process has been told."""
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    environment = {**kept, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True, timeout=250, check=False)


def furthest(one: Path, other: Path) -> float:
    """The largest difference between two runs' weights."""
    a, b = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert a.keys() == b.keys()
    return max(float((a[k].double() - b[k].double()).abs().max()) for k in a)


def alike(one: Path, other: Path) -> None:
    """Their losses, rates and stages agree in every epoch."""
    first, second = curves.read(one), curves.read(other)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_the_command_trains_in_two_processes_as_in_one(tmp_path: Path) -> None:
    settings = ("train.epochs=2", *two_processes.STILL)
    made = cohort(tmp_path, 12)
    table.save(made, tmp_path / "cohort.parquet")
    one = fit(made, recipe(*settings), tmp_path / "one", tmp_path / "cache", accelerator="cpu")
    words = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    insula = Path(sys.executable).with_name("insula")
    done = started(
        insula, "train", tmp_path / "cohort.parquet", "--recipe", "brain-tumour", *words, "--out", tmp_path / "two",
        "--cache", tmp_path / "cache", "--devices", 2, "--accelerator", "cpu", "--no-export", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    facts = json.loads((tmp_path / "two/run.json").read_text())
    assert facts["processes"] == 2
    assert said["weights_sha256"] == facts["weights_sha256"]
    assert said["val_loss"] == pytest.approx(one.best_loss, rel=1e-4)
    assert furthest(tmp_path / "one", tmp_path / "two") < NEAR
    alike(tmp_path / "one", tmp_path / "two")
    fit(made, recipe(*settings, "train.lr=1.0e-12"), tmp_path / "start", tmp_path / "cache", accelerator="cpu")
    assert furthest(tmp_path / "one", tmp_path / "start") > 100 * NEAR  # so that being near says something


@pytest.mark.slow
def test_torchrun_trains_patients_with_gaps_in_two_processes_as_in_one(tmp_path: Path) -> None:
    one = two_processes.train(tmp_path / "one", 1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2]
    done = started(*torchrun, two_processes.__file__, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "two/run.json").read_text())
    assert (facts["processes"], facts["epochs"]) == (2, one.epochs)
    hard = [(tmp_path / name / "hard-negatives.csv").read_text().splitlines() for name in ("one", "two")]
    assert [line.rsplit(",", 1)[0] for line in hard[0]] == [line.rsplit(",", 1)[0] for line in hard[1]]
    assert len(hard[0]) > 1
    assert furthest(tmp_path / "one", tmp_path / "two") < NEAR
    alike(tmp_path / "one", tmp_path / "two")
    again = started(*torchrun, two_processes.__file__, tmp_path / "two", "resume")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "two/run.json").read_text())["weights_sha256"] == facts["weights_sha256"]
