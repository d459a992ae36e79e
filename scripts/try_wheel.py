"""The wheel as a stranger gets it: installed into new environments, asked to predict, to serve and to run the demo.

Usage: python scripts/try_wheel.py WHEEL [--write docs/results/install.md] [--in FOLDER] [--constraints FILE]

Three environments: `insula` alone, where neither PyTorch nor pandas can be imported; the same with [serve]; one with
[train], in which the demo makes the bundle that the other two then predict and serve with. Ends with 1 at the first
step that does not do what it should, and where `insula` alone is larger than MOST_MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.try_wheel_page import Installed, page  # noqa: E402

MOST_MB = 600
MISSING_PART = 22  # exit code of MissingPartError
DEMO = ("demo", "--recipe", "stroke-ct", "--patients", "24", "--set", "train.epochs=1")
_SIZES = """
import importlib.metadata, json, os, sysconfig
def size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
sizes = {d.name: sum(size(d.locate_file(f)) for f in d.files or ()) for d in importlib.metadata.distributions()}
sizes.pop("pip", None), sizes.pop("setuptools", None)
print(json.dumps(sizes))
"""


class Wrong(Exception):  # noqa: N818 (a finding)
    """A step that did not do what it should."""


@dataclass
class Try:
    """What was done so far: each step with its seconds, and each environment with its sizes."""

    folder: Path
    constraints: Path
    steps: list[tuple[str, float]] = field(default_factory=list)
    installed: list[Installed] = field(default_factory=list)

    def step(self, what: str, action: Callable[[], Any]) -> Any:
        """Do one thing and keep how long it took."""
        start = time.perf_counter()
        found = action()
        self.steps.append((what, time.perf_counter() - start))
        print(f"{self.steps[-1][1]:8.1f} s  {what}", flush=True)
        return found

    def python(self, name: str) -> str:
        """The interpreter of an environment."""
        return str(self.folder / name / "bin" / "python")

    def make(self, name: str) -> None:
        """A new, empty environment."""
        run([sys.executable, "-m", "venv", str(self.folder / name)])

    def install(self, name: str, wheel: Path, extras: str) -> None:
        """Install the wheel with extras as a user would, and measure what came; pip for a few parts, uv for PyTorch."""
        asked = f"insula{extras} @ {wheel.resolve().as_uri()}"
        pip = [self.python(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        uv = [str(ROOT / ".venv/bin/uv"), "pip", "install", "--quiet", "--python", self.python(name)]
        by = "uv" if "train" in extras else "pip"
        start = time.perf_counter()
        self.step(
            f"{by} install insula{extras}",
            lambda: run([*(uv if by == "uv" else pip), "--constraint", str(self.constraints), asked]),
        )
        sizes = json.loads(run([self.python(name), "-c", _SIZES]))
        found = Installed(f"insula{extras}", sizes, time.perf_counter() - start, by)
        self.installed.append(found)
        print(f"            {found.megabytes:.0f} MB in {len(sizes)} packages: {found.largest(8)}", flush=True)
        if not extras and found.megabytes > MOST_MB:
            raise Wrong(f"insula takes {found.megabytes:.0f} MB, and {MOST_MB} are the most")

    def insula(self, name: str, *words: str, code: int = 0) -> str:
        """A command of the environment; its output. Raises Wrong where it ends with another exit code."""
        return run([str(self.folder / name / "bin" / "insula"), *words], code=code, cwd=self.folder)


def run(command: Sequence[str], code: int = 0, cwd: Path | None = None) -> str:
    """A command's standard output, where it ends with the code that it should end with; with its errors otherwise."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("INSULA_", "PYTHON"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    if done.returncode != code:
        shown = " ".join(command)
        raise Wrong(f"{shown}: exit code {done.returncode}, not {code}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout if code == 0 else done.stderr


def light(tried: Try, wheel: Path) -> None:
    """`pip install insula`: how large it is, what it cannot import, and what it says of what it lacks."""
    tried.step("python -m venv", lambda: tried.make("light"))
    tried.install("light", wheel, "")
    for name in ("torch", "pandas", "pyarrow", "sklearn", "matplotlib"):
        run([tried.python("light"), "-c", f"import {name}"], code=1)
    told = json.loads(tried.step("insula info --json", lambda: tried.insula("light", "info", "--json")))
    if told["insula"] not in wheel.name:
        raise Wrong(f"insula info says version {told['insula']} of {wheel.name}")
    tried.step("insula --help", lambda: tried.insula("light", "--help"))
    for verb, words in {
        "train": DEMO,
        "serve": ("serve", "bundle"),
        "evaluate": ("evaluate", "b", "c", "--out", "o"),
    }.items():
        said = tried.insula("light", *words, code=MISSING_PART)
        if f"pip install 'insula[{verb}]'" not in said:
            raise Wrong(f"insula {words[0]} does not say how to install what it lacks: {said}")


def train(tried: Try, wheel: Path) -> Path:
    """`pip install insula[train]` and its demo, small; the folder that it left."""
    tried.make("train")
    tried.install("train", wheel, "[train]")
    tried.step(f"insula {' '.join(DEMO)}", lambda: tried.insula("train", *DEMO, "--out", "demo"))
    return tried.folder / "demo"


def predict(tried: Try, demo: Path) -> Path:
    """The demo's bundle in the light environment: one scan with uncertainty and heat map, then a folder. One scan."""
    scans = sorted((demo / "cohort").rglob("*.dcm"))
    if not scans:
        raise Wrong("the demo left no DICOM file")
    bundle, scan = str(demo / "bundle"), str(scans[0])
    words = ("predict", bundle, scan, "--uncertainty", "dropout", "--heatmaps", "heat", "--json")
    told = json.loads(tried.step("insula predict SCAN --uncertainty dropout", lambda: tried.insula("light", *words)))
    (one,) = told["results"]
    if not one["spread"] or not any((tried.folder / "heat").rglob("*.png")):
        raise Wrong(f"no spread or no heat map: {one}")
    tried.step(
        "insula predict FOLDER --out table.csv",
        lambda: tried.insula("light", "predict", bundle, str(scans[0].parent), "--out", "table.csv"),
    )
    tried.insula("light", "predict", bundle, scan, "--out", "table.parquet", code=MISSING_PART)
    tried.step("insula explain SCAN", lambda: tried.insula("light", "explain", bundle, scan, "--out", "explained"))
    return scans[0]


def serve(tried: Try, wheel: Path, bundle: Path, scan: Path) -> None:
    """`pip install insula[serve]` over the light install: a service without PyTorch answers over HTTP."""
    tried.install("light", wheel, "[serve]")
    run([tried.python("light"), "-c", "import torch"], code=1)
    command = [str(tried.folder / "light/bin/insula"), "serve", str(bundle), "--port", "0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("INSULA_", "PYTHON"))}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tried.folder, env=environment | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        met = re.search(r"http://[\w.:]+", line)
        if not met:
            raise Wrong(f"insula serve did not say where it listens: {line!r}")
        health = _json(urllib.request.Request(f"{met[0]}/health"))
        tried.steps.append(("Starting `insula serve`, to the first answer of GET /health", time.perf_counter() - start))
        if health["model_loaded"] is not True:
            raise Wrong(f"GET /health: {health}")
        told = tried.step("POST /predict", lambda: _json(_upload(f"{met[0]}/predict", scan)))
        if not 0.99 < sum(told["probabilities"].values()) < 1.01:
            raise Wrong(f"POST /predict: {told}")
    finally:
        process.terminate()
        process.wait(timeout=30)


def _json(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def _upload(address: str, scan: Path) -> urllib.request.Request:
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{scan.name}"\r\n\r\n'
    body = head.encode() + scan.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    return urllib.request.Request(address, body, {"Content-Type": f"multipart/form-data; boundary={edge}"})


def main(arguments: Sequence[str] | None = None) -> int:
    """All of it in a folder that goes afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--write", type=Path, help="a page for people")
    parser.add_argument("--in", dest="folder", type=Path, help="where the environments are made, gigabytes")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    told = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        tried = Try(Path(folder), told.constraints.resolve())
        try:
            light(tried, told.wheel)
            demo = train(tried, told.wheel)
            scan = predict(tried, demo)
            serve(tried, told.wheel, demo / "bundle", scan)
        except Wrong as error:
            print(f"wrong: {error}", file=sys.stderr)
            return 1
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    machine += f", load average {os.getloadavg()[2]:.0f}"
    text = page(tried.installed, tried.steps, told.wheel.stat().st_size, machine, MOST_MB)
    print(text)
    if told.write:
        told.write.parent.mkdir(parents=True, exist_ok=True)
        told.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
