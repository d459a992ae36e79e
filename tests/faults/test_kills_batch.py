"""`insula predict ARCHIVE` killed at random moments and begun again ends with the table of an unbroken run."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.faults.made_killed_site import descendants, orphans
from tests.faults.made_zygote import Command, Zygote, zygote
from tests.faults.tally import Tally
from tests.tiny_bundle import make as make_bundle
from tests.tiny_cohort import make

from insula.infer.batch_record import JOURNAL, place

MODULES = ("insula.cli.predict", "insula.cli.predict_batch", "insula.infer.batch", "insula.infer.engine")
PATIENTS = 30


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [60])
def test_a_batch_that_is_killed(tmp_path: Path, tally: Tally, kills: int) -> None:
    """Half of the moments are drawn by rows that are done, half by time; some batches are killed several times."""
    draw = random.Random(44)
    make(tmp_path / "scans", patients=PATIENTS)
    make_bundle(tmp_path, unit="series")
    (tmp_path / "tmp").mkdir()
    done = left_alive = tables = differ = 0
    left: list[str] = []
    again: list[float] = []
    with zygote(*MODULES) as source:
        whole = _table(source, tmp_path, "whole")
        while done < kills:
            name = f"table-{tables}"
            for _ in range(min(draw.choice((1, 1, 2, 3)), kills - done)):
                command = _begun(source, tmp_path, name)
                _at_some_moment(command, tmp_path / name, draw, done)
                children = descendants(command.pid)
                if command.kill(signal.SIGKILL) == 0:  # it was quicker
                    break
                done += 1
                left_alive += bool(orphans(children))
            begun = time.monotonic()
            found = _table(source, tmp_path, name)
            again.append(time.monotonic() - begun)
            tables += 1
            differ += not found.equals(whole)
            left += [path.name for path in (tmp_path / name).iterdir() if path.name != "table.parquet"]
            left += [path.name for path in (tmp_path / "tmp").iterdir()]
    tally.log("batch.txt").write_text("\n".join(left) + "\n")
    tally.tried(
        "`insula predict` over a folder killed (-9) and begun again: its table against that of an unbroken run",
        done,
        lost=differ,
        leaked=left_alive + len(left),
        figures={"tables": tables, "rows": tables * PATIENTS, "until the table was whole, mean s": sum(again) / tables},
    )


def _begun(source: Zygote, folder: Path, name: str) -> Command:
    (folder / name).mkdir(exist_ok=True)
    words = ["predict", str(folder / "bundle"), str(folder / "scans"), "--out", str(folder / name / "table.parquet")]
    return source.start([*words, "--threads", "1"], {"TMPDIR": str(folder / "tmp")}, folder / f"{name}.log")


def _table(source: Zygote, folder: Path, name: str) -> Any:
    out = folder / name / "table.parquet"
    if not out.exists() or place(out).exists():  # killed between the table and the end of its record
        command = _begun(source, folder, name)
        code = command.wait()
        assert code == 0 or "is there already" in command.said(), command.said()
    return pq.read_table(out)


def _at_some_moment(command: Command, folder: Path, draw: random.Random, number: int) -> None:
    journal = place(folder / "table.parquet") / JOURNAL
    if number % 2:
        time.sleep(draw.uniform(0.0, 3.0))
        return
    wanted = draw.randint(0, PATIENTS)
    while command.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
        time.sleep(0.005)
    time.sleep(draw.uniform(0.0, 0.05))
