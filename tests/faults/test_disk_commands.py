"""`insula predict`, `insula train` and `insula export` on a disk that is full or broken at any call of theirs.

Each says so in one sentence and leaves nothing torn; the same command afterwards ends with what an unbroken run made.
"""

from __future__ import annotations

import errno
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.faults.made_shim import library
from tests.faults.made_zygote import Zygote, zygote
from tests.faults.tally import Tally
from tests.tiny_bundle import make as make_bundle
from tests.tiny_bundle import recipe
from tests.tiny_cohort import make

from insula.bundle.load import load
from insula.cohort import table
from insula.core import recipe as recipes

MODULES = (
    "insula.cli.predict", "insula.cli.predict_batch", "insula.infer.batch", "insula.cli.training", "insula.train.fit",
    "insula.export.finish", "insula.export.forms", "tests.faults.made_armed",
)  # fmt: skip
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC)
EPOCHS = 3


@dataclass(eq=False)
class Bench:
    """Commands on a disk that fails. disk: the folder whose calls do, with the temporary files in it."""

    source: Zygote
    home: Path
    disk: Path
    draw: random.Random
    found: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seen: int = 0
    failed: int = 0

    def run(self, words: list[str], nth: int = 0, error: int = errno.ENOSPC, lasting: bool = False) -> tuple[int, str]:
        """A command's exit code and words. nth: as `made_shim.failing`, -1 for a disk that is well."""
        log, told = self.home / "command.log", self.home / "told.json"
        log.unlink(missing_ok=True)
        told.unlink(missing_ok=True)
        env = {"TMPDIR": str(self.disk / "tmp"), "TORCHINDUCTOR_CACHE_DIR": str(self.home / "torch")}
        if nth >= 0:
            env |= {"DISK_FOLDER": str(self.disk), "DISK_NTH": str(nth), "DISK_ERROR": str(error)}
            env |= {"DISK_LASTING": str(int(lasting)), "DISK_TOLD": str(told)}
        command = self.source.start(words, env, log)
        code = command.wait()
        self.seen, self.failed = json.loads(told.read_text()) if nth >= 0 and told.exists() else (0, 0)
        return code, command.said()

    def tries(
        self,
        count: int,
        words: list[str],
        torn: Callable[[], str],
        tidy: Callable[[], object],
        more: Callable[[], list[str]] = list,
    ) -> None:
        """Let one call of a command fail, or all from it on, and do it again on a disk that is well.

        torn: what is wrong with what the command left, "" for nothing; tidy: for the next try; more: words for the
        second time.
        """
        code, said = self.run(words)
        assert code == 0, said
        calls = self.seen
        assert torn() == ""
        tidy()
        for _ in range(count):
            nth, error, lasting = self.draw.randint(1, calls), self.draw.choice(ERRORS), self.draw.random() < 0.5
            code, said = self.run(words, nth, error, lasting)
            self.found["tried"] += 1
            self.found["hit"] += self.failed > 0
            self.found["refused"] += code != 0
            told = f"{words[0]}, call {nth} of {calls} {errno.errorcode[error]}{' and on' if lasting else ''}: {code}"
            if "Traceback" in said or (code and "insula: " not in said):
                self.wrong.append(f"{told}, said {said}")
            if code == 0 and (what := torn()):
                self.wrong.append(f"{told}, yet {what}")
            if code:
                second, said = self.run([*words, *more()], -1)
                ended = second == 0 or "is there already" in said  # the last call of all failed, and the table is whole
                if not ended or (what := torn()):
                    self.wrong.append(f"{told}, again {second}: {said if not ended else what}")
            sys.stderr.write(f"{told}\n")
            left = [str(path.relative_to(self.disk)) for path in self.disk.rglob(".*")]
            left += [str(path.relative_to(self.disk)) for path in (self.disk / "tmp").iterdir()]
            if left:
                self.wrong.append(f"{told}, left {left}")
                shutil.rmtree(self.disk / "tmp")
                (self.disk / "tmp").mkdir()
            tidy()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    disk = tmp_path / "disk"
    (disk / "tmp").mkdir(parents=True)
    monkeypatch.setenv("LD_PRELOAD", str(library(tmp_path)))
    with zygote(*MODULES) as source:
        yield Bench(source, tmp_path, disk, random.Random(66))


def done(bench: Bench, tally: Tally, what: str, name: str) -> None:
    tally.log(f"{name}.txt").write_text("\n".join(bench.wrong) + "\n")
    assert bench.found["hit"] > 0.9 * bench.found["tried"], "the disk failed at few tries"
    figures = {"refused": float(bench.found["refused"])}
    tally.tried(what, bench.found["tried"], failed=len(bench.wrong), figures=figures)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_batch_on_a_failing_disk(bench: Bench, tally: Tally) -> None:
    make(bench.home / "scans", patients=6)
    made = make_bundle(bench.home, unit="series").path
    out = bench.disk / "out"
    words = [
        "predict",
        str(made),
        str(bench.home / "scans"),
        "--out",
        str(out / "table.parquet"),
        "--threads",
        "1",
        "--readers",
        "1",
    ]
    out.mkdir()
    assert bench.run(words, -1)[0] == 0
    whole = pq.read_table(out / "table.parquet")

    def torn() -> str:
        names = sorted(path.name for path in out.iterdir())
        if names != ["table.parquet"]:
            return f"there is {names}"
        return "" if pq.read_table(out / "table.parquet").equals(whole) else "the table differs"

    def tidy() -> None:
        shutil.rmtree(out)
        out.mkdir()

    tidy()
    bench.tries(24, words, torn, tidy)
    done(bench, tally, "`insula predict` over a folder, with one call on the disk failing, or all from one on", "batch")


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_training_run_on_a_failing_disk(bench: Bench, tally: Tally) -> None:
    cohort = make(bench.home / "scans", patients=18)
    cases = tuple(replace(case, split="train" if k < 12 else "val") for k, case in enumerate(cohort.cases))
    table.save(replace(cohort, cases=cases, split_level="patient"), bench.home / "cohort.parquet")
    (bench.home / "recipe.yaml").write_text(recipes.dump(recipe()))
    run = bench.disk / "run"
    words = ["train", str(bench.home / "cohort.parquet"), "--recipe", str(bench.home / "recipe.yaml")]
    words += ["--out", str(run), "--cache", str(bench.disk / "cache"), "--accelerator", "cpu"]
    for one in ("model.encoder=simple_cnn", "model.pretrained=false", f"train.epochs={EPOCHS}", "train.batch=4"):
        words += ["--set", one]
    words += ["--export"]
    assert bench.run(words, -1)[0] == 0
    whole = (run / "weights.safetensors").read_bytes()

    def torn() -> str:
        if (run / "weights.safetensors").read_bytes() != whole:
            return "the weights differ"
        load(run / "bundle")
        return ""

    def tidy() -> None:
        shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(bench.disk / "cache", ignore_errors=True)

    tidy()
    bench.tries(12, words, torn, tidy, lambda: ["--resume"] if (run / "recipe.yaml").is_file() else [])
    done(bench, tally, "`insula train`, with one call on the disk failing, or all from one on, and resumed", "train")


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_an_export_on_a_failing_disk(bench: Bench, tally: Tally) -> None:
    made = make_bundle(bench.home, unit="series").path
    out = bench.disk / "onnx"
    words = ["export", str(made), "--format", "onnx", "--out", str(out)]
    assert bench.run(words, -1)[0] == 0
    whole = content(out)
    shutil.rmtree(out)

    def torn() -> str:
        return "" if content(out) == whole else f"there is {sorted(content(out))}"

    bench.tries(24, words, torn, partial(shutil.rmtree, out, ignore_errors=True))
    done(bench, tally, "`insula export`, with one call on the disk failing, or all from one on", "export")


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
