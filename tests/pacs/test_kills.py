"""The node killed again and again while scanners send: nothing is lost, doubled, or predicted twice."""

from __future__ import annotations

import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from sqlalchemy import Engine, func, select
from tests.faults.made_killed_site import descendants, orphans
from tests.faults.tally import Tally, place
from tests.pacs.orthanc import free_port
from tests.serve.api.made import KEY, people
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.serve.pacs import file_meta
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading
from insula.serve.store.files import open_files
from insula.serve.store.migrate import upgrade
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.pacs
SLICES, SENDERS, SCANNER = 3, 4, "SCANNER"
PATIENCE = 240.0  # seconds without any news, which is longer than a lost job waits for another worker


@dataclass(eq=False)
class Scanners:
    """Senders that go on until every object is acknowledged. taken: UIDs of those that were."""

    port: int
    taken: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, studies: list[list[Path]]) -> None:
        """Send studies one after the other; of one that is cut off, what was not acknowledged is sent again."""
        for files in studies:
            left = list(files)
            while left and not self.stop.is_set():
                done = self._sent(left)
                self.taken += [uid_of(path) for path in left[:done]]
                left = left[done:]
                if left:
                    self.stop.wait(0.2)  # as a scanner waits before it tries again

    def _sent(self, files: list[Path]) -> int:
        """How many of the files were acknowledged, in their order, by what dcmtk's sender says."""
        command = ["storescu", "-v", "-aet", SCANNER, "-aec", "INSULA", "127.0.0.1", str(self.port), *map(str, files)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return len(re.findall(r"Received Store Response \(Success\)", said.stdout + said.stderr))


class Node:
    """`insula pacs listen`, which also predicts; killed and started anew."""

    def __init__(self, folder: Path, bundle: Path, model: str, port: int) -> None:
        rules = {"name": "all", "project": "Inside", "model": model, "instances": SLICES, "uncertainty": False}
        (folder / "rules.yaml").write_text(json.dumps({"rules": [rules]}))  # JSON is YAML
        self._folder, self._bundle = folder, bundle
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")} | {
            "INSULA_DATABASE": f"sqlite:///{folder}/insula.db",
            "INSULA_FILES": str(folder / "files"),
            "INSULA_TRAIL_KEY": KEY,
            "INSULA_TRAIL_HEADS": str(folder / "heads.jsonl"),
            "INSULA_PACS_ALLOW": SCANNER,
            "INSULA_PACS_PORT": str(port),
            "INSULA_PACS_RULES": str(folder / "rules.yaml"),
            "INSULA_PACS_QUIET_SECONDS": "3600",  # a study is whole by the number of its slices alone
            "INSULA_PACS_LEAST_FREE_MB": "0",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(folder / "tmp"),
        }
        (folder / "tmp").mkdir()
        self.kills = self.orphans = 0
        self.recovered: list[float] = []
        self._process = self._started()

    def kill(self) -> None:
        """End it without warning, and start it anew; it listens when this returns."""
        children = descendants(self._process.pid)
        self.end()
        self.kills += 1
        self.orphans += bool(orphans(children))
        begun = time.monotonic()
        self._process = self._started()
        self.recovered.append(time.monotonic() - begun)

    def close(self) -> None:
        """End it in good order."""
        self._process.terminate()
        assert self._process.wait(90) == 0, self.said()
        self.end()

    def said(self) -> str:
        """The end of its log."""
        return (self._folder / "node.log").read_text()[-3000:]

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "insula", "pacs", "listen", str(self._bundle), "--json", "--json-logs"]
        with (self._folder / "node.log").open("a") as log:
            process = subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        assert "listening" in process.stdout.readline(), self.said()
        return process

    def end(self) -> None:
        """End it without warning."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def uid_of(path: Path) -> str:
    return path.stem


def written(folder: Path, count: int) -> list[list[Path]]:
    """Small studies, one of each patient."""
    found = []
    for study in range(1, count + 1):
        paths = []
        for number in range(1, SLICES + 1):
            raw = dicom(number=number, seed=study, series=f"1.2.9.{study}.1", patient=f"K-{study}")
            file = pydicom.dcmread(io.BytesIO(raw))
            file.StudyInstanceUID, file.SOPInstanceUID = f"1.2.9.{study}", f"1.2.9.{study}.1.{number}"
            file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
            path = folder / f"{file.SOPInstanceUID}.dcm"
            file.save_as(path, enforce_file_format=True)
            paths.append(path)
        found.append(paths)
    return found


def count(engine: Engine, table: Any) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def until(news: Callable[[], int], wanted: int, node: Node) -> None:
    """Wait until a number has grown to what is wanted; fails where it does not grow for long."""
    last, end = news(), time.monotonic() + PATIENCE
    while last < wanted:
        time.sleep(0.02)
        now = news()
        if now > last:
            last, end = now, time.monotonic() + PATIENCE
        assert time.monotonic() < end, f"{last} of {wanted}: {node.said()}"


@pytest.mark.parametrize(
    ("studies", "kills"),
    [
        pytest.param(24, 3, id="short", marks=pytest.mark.timeout(900)),
        pytest.param(200, 20, id="full", marks=[pytest.mark.faults, pytest.mark.timeout(7200)]),
    ],
)
def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, studies: int, kills: int) -> None:
    bundle = make(tmp_path, unit="series")
    engine = connect(f"sqlite:///{tmp_path}/insula.db")
    upgrade(engine)
    people(engine)
    (tmp_path / "slices").mkdir()
    files = written(tmp_path / "slices", studies)
    port = free_port()
    node, scanners = Node(tmp_path, bundle.path, bundle.recipe.name, port), Scanners(port)
    senders = [threading.Thread(target=scanners.send, args=(files[k::SENDERS],)) for k in range(SENDERS)]
    for one in senders:
        one.start()
    try:
        sending = kills // 2 + 1  # the others while it predicts
        for number in range(1, sending + 1):
            until(lambda: len(scanners.taken), number * studies * SLICES // (sending + 1), node)
            node.kill()
        before = count(engine, schema.predictions)
        for number in range(1, kills - sending + 1):
            wanted = before + number * (studies - before) // (kills - sending + 1)
            until(lambda: count(engine, schema.predictions), wanted, node)
            node.kill()
        until(lambda: len(scanners.taken), studies * SLICES, node)
        until(lambda: count(engine, schema.predictions), studies, node)
        for one in senders:
            one.join(30)
        node.close()
    finally:
        scanners.stop.set()
        node.end()
    assert node.kills == kills
    lost, doubled = objects(engine, tmp_path, files, scanners.taken)
    fewer, more = predicted(engine, studies)
    verdict = verify(engine, KEY.encode(), str(tmp_path / "heads.jsonl"))
    engine.dispose()
    Tally(place(tmp_path), "kills_node").tried(
        "the node killed (-9) and started again while four scanners send, and while it predicts",
        kills,
        lost=lost + fewer,
        doubled=doubled + more,
        leaked=node.orphans + len(list((tmp_path / "tmp").iterdir())),
        failed=int(not verdict.holds),
        figures={
            "studies": studies,
            "objects acknowledged": len(scanners.taken),
            "from the start to listening, median s": statistics.median(node.recovered),
            "longest s": max(node.recovered),
        },
    )


def objects(engine: Engine, folder: Path, files: list[list[Path]], taken: list[str]) -> tuple[int, int]:
    """How many acknowledged objects are not in the records, or other than they were sent; how many are twice."""
    there = schema.pacs_instances.c
    with reading(engine) as connection:
        rows = connection.execute(select(there.sop_instance_uid, there.sha256)).all()
    counts = Counter(row.sop_instance_uid for row in rows)
    lost = len(set(taken) - set(counts))
    stored, kept = open_files(str(folder / "files")), {row.sop_instance_uid: row.sha256 for row in rows}
    for path in (path for study in files for path in study):
        if uid_of(path) in kept:
            sent, found = path.read_bytes(), stored.get(kept[uid_of(path)])
            lost += found[file_meta.split(found)[1] :] != sent[file_meta.split(sent)[1] :]
    return lost, sum(n > 1 for n in counts.values())


def predicted(engine: Engine, studies: int) -> tuple[int, int]:
    """How many studies were not taken, or not predicted; how many twice. No job was given up."""
    with reading(engine) as connection:
        came = connection.execute(select(schema.pacs_studies)).all()
        made = Counter(connection.scalars(select(schema.predictions.c.study_id)))
        states = Counter(connection.scalars(select(schema.jobs.c.state)))
    assert {(row.state, row.generation) for row in came} == {("taken", 1)}
    assert states == {"done": 2 * studies}
    here = {row.study_id for row in came}
    fewer = studies - len(here) + len(here - set(made))
    return fewer, len(came) - len(here) + sum(n > 1 for n in made.values())
