"""Objects per second that the node takes, beside dcmtk's storescp on the same disk (make bench-pacs).

Both get the same made CT slices from dcmtk's storescu, one sender and four at once, in turns; every round begins with
an empty store. storescp runs at its best: data sets written as they come, the longest units, a process for each caller.
What the node does on top: the SHA-256 of each object, fsync of file, folder and database, and rows in the records. Both
receivers and the senders have TCP_NODELAY on. The last line is as Debian installs both programs of dcmtk: without that
variable, and with units of 16 kB. INSULA_BENCH_FOLDER names a folder on another disk.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
from machine import described
from pydantic import SecretStr
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import func, select

from insula.serve.models.limit import ClientLimit
from insula.serve.models.line import Line
from insula.serve.models.pool import Pool
from insula.serve.pacs import scp
from insula.serve.pacs.settings import read_pacs_settings
from insula.serve.service import open_service
from insula.serve.settings import Settings
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading

OBJECTS, ROUNDS, SIDE, SENDERS = 200, 7, 512, (1, 4)
GOALS = {"ratio_1": 0.5, "ratio_4": 0.5}
AE, NODE = "SENDER", "INSULA"
UNIT = ["--max-pdu", "131072"]


def made(folder: Path) -> list[Path]:
    """Slices of noise, each half a megabyte, in as many folders as there are senders at most."""
    g, found = np.random.default_rng(11), []
    for number in range(OBJECTS):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(f"1.2.3.4.{number + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        part = number % max(SENDERS)
        file.StudyInstanceUID, file.SeriesInstanceUID = f"1.2.3.5.{part + 1}", f"1.2.3.6.{part + 1}"
        file.PatientName, file.PatientID, file.Modality = "Made^Noise", "M-1", "CT"
        file.InstanceNumber, file.SamplesPerPixel, file.PhotometricInterpretation = number + 1, 1, "MONOCHROME2"
        file.Rows = file.Columns = SIDE
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.PixelData = g.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16).tobytes()
        path = folder / f"{part}" / f"{number:04d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        file.save_as(path, enforce_file_format=True)
        found.append(path)
    return sorted({path.parent for path in found})


def sent(folders: list[Path], port: int, senders: int, called: str, at_once: bool) -> float:
    """Seconds until all objects are acknowledged."""
    shares = [folders[k::senders] for k in range(senders)]
    environment = os.environ | ({"TCP_NODELAY": "1"} if at_once else {})
    command = ["storescu", *(UNIT if at_once else []), "-aet", AE, "-aec", called, "+sd", "127.0.0.1", str(port)]
    started = time.perf_counter()
    running = [subprocess.Popen([*command, *map(str, share)], env=environment) for share in shares]
    if any(one.wait() for one in running):
        sys.exit("a sender failed")
    return time.perf_counter() - started


@contextmanager
def storescp(folder: Path, at_once: bool) -> Iterator[int]:
    """dcmtk's receiver; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    best = ["--fork", "+B", *UNIT] if at_once else []
    command = ["storescp", *best, "-aet", NODE, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, env=os.environ | ({"TCP_NODELAY": "1"} if at_once else {}))
    try:
        until = time.monotonic() + 30
        while subprocess.run(["echoscu", "127.0.0.1", str(port)], capture_output=True, check=False).returncode:
            if time.monotonic() > until:
                sys.exit("storescp does not listen")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def node(folder: Path) -> Iterator[int]:
    """The node's listener in a process of its own; gives its port."""
    process = subprocess.Popen([sys.executable, __file__, "--node", str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        subprocess.run(["echoscu", "-aet", AE, "-aec", NODE, "127.0.0.1", str(port)], check=True)
        yield port
    finally:
        process.terminate()
        process.wait()


def listen(folder: Path) -> NoReturn:
    """What that process does, until it is ended."""
    settings = Settings(
        database=f"sqlite:///{folder}/insula.db",
        files=str(folder / "files"),
        trail_key=SecretStr("k" * 40),
        trail_heads=str(folder / "heads.jsonl"),
    )
    service = open_service(settings, Pool(1), Line(1, 1), ClientLimit(0.0, 1))
    with scp.serve(service, read_pacs_settings(port=0, allow=AE, ae_title=NODE, most_waiting=1 << 30)) as port:
        print(port, flush=True)
        while True:
            time.sleep(3600)


def checked(folder: Path) -> None:
    """Every object is in the records and on the disk, once."""
    with reading(connect(f"sqlite:///{folder}/insula.db")) as connection:
        rows = connection.execute(select(func.count()).select_from(schema.pacs_instances)).scalar_one()
    files = sum(1 for path in (folder / "files").rglob("*") if path.is_file())
    if (rows, files) != (OBJECTS, OBJECTS):
        sys.exit(f"{rows} rows and {files} files of {OBJECTS} objects")


def measured(home: Path, folders: list[Path], side: str, senders: int, at_once: bool = True) -> float:
    """Objects per second, of one round in an empty folder."""
    folder = home / "store"
    folder.mkdir()
    try:
        with node(folder) if side == "node" else storescp(folder, at_once) as port:
            seconds = sent(folders, port, senders, NODE, at_once)
        if side == "node":
            checked(folder)
    finally:
        shutil.rmtree(folder)
    return OBJECTS / seconds


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{described(2, version('storescp'))}; load {os.getloadavg()[0]:.1f}; {OBJECTS} objects, {rounds} rounds\n")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="insula-bench-", dir=os.environ.get("INSULA_BENCH_FOLDER")) as name:
        home = Path(name)
        folders = made(home / "slices")
        print(f"{'senders':<24}{'side':<12}{'objects/s':>10}{'least':>8}{'most':>8}")
        for title, senders, at_once in ((1, 1, True), (4, 4, True), ("1, as installed", 1, False)):
            found: dict[str, list[float]] = {"node": [], "storescp": []}
            for number in range(rounds if at_once else 1):
                for side in sorted(found, reverse=bool(number % 2)):
                    found[side].append(measured(home, folders, side, senders, at_once))
            for side, values in found.items():
                print(f"{title:<24}{side:<12}{statistics.median(values):>10.0f}{min(values):>8.0f}{max(values):>8.0f}")
            ratio = statistics.median(found["node"]) / statistics.median(found["storescp"])
            figures[f"ratio_{senders}" if at_once else "ratio_1_usual"] = round(ratio, 3)
    holds = all(figures[name] >= goal for name, goal in GOALS.items())
    print(json.dumps({"bench": "pacs", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


def version(program: str) -> str:
    """The first line that a program of dcmtk says of itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].strip("$ ")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--node"]:
        listen(Path(sys.argv[2]))
    sys.exit(main())
