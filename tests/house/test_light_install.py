"""`pip install insula` alone reads, predicts, explains and looks after cohorts; with [serve] it serves.

Two proofs: no module that these need imports at its top what only other parts install; and a process in which
everything but the light install's own packages cannot be imported does the work.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from scripts import supply_bill
from tests.house.walk import ROOT
from tests.serve.client import dicom
from tests.tiny_bundle import BINARY
from tests.tiny_cohort import make

from insula.bundle.types import Bundle
from insula.cli.main import VERBS
from insula.cohort import table
from insula.core.parts import PARTS

SOURCE = ROOT / "src" / "insula"
LIGHT = (
    *("core", "scans", "cohort", "prep", "metrics", "bundle", "infer"),
    *("evaluate", "audit", "report", "serve", "client", "cli"),
)
HEAVY = {"matplotlib", *PARTS["evaluate"].modules, *PARTS["train"].modules}

BLOCK = """
import sys
from importlib.machinery import PathFinder
blocked = set(sys.argv.pop(1).split(","))
class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
"""
WORK = """
import json
from importlib import import_module
from click.testing import CliRunner
from insula.cli.main import VERBS, main
bundle, scans, out = sys.argv[1:4]
for module in json.loads(sys.argv[4]):
    import_module(module)
scan = f"{scans}/1"
for words in (
    f"predict {bundle} {scan} --uncertainty dropout --passes 4 --heatmaps {out}/heat --json",
    f"predict {bundle} {scans} --out {out}/table.csv --readers 1",
    f"explain {bundle} {scan} --out {out}/explained",
    f"check {out}/cohort.csv --out {out}/check --no-leaks",
    f"split {out}/cohort.csv --recipe stroke-ct --out {out}/split.csv",
):
    done = CliRunner().invoke(main, words.split())
    if done.exit_code and words.split()[0] != "check":  # whose exit code is a verdict
        sys.exit(f"{words}: {done.exit_code}: {done.output}{done.exception!r}")
    if isinstance(done.exception, ImportError):
        sys.exit(f"{words}: {done.exception!r}")
told = [CliRunner().invoke(main, words.split()).exception for words in ("demo", f"evaluate {bundle} c --out o")]
print(json.dumps([str(one) for one in told]))
"""
SERVE = """
from pathlib import Path
from fastapi.testclient import TestClient
from insula.serve.app import create_app
from insula.serve.settings import Settings
import insula.serve.full, insula.serve.web.evaluation_page, insula.report.case.page
with TestClient(create_app(Settings(bundle=Path(sys.argv[1]), threads=1)), "http://127.0.0.1") as client:
    print(client.post("/predict", files={"file": ("a.dcm", Path(sys.argv[2]).read_bytes())}).json()["class_name"])
"""


@cache
def made_by() -> tuple[dict[str, set[str]], list[supply_bill.Part]]:
    """Module → the packages that install it, and what each extra of ours brings."""
    makers = metadata.packages_distributions()
    found = {name: {str(canonicalize_name(one)) for one in by} for name, by in makers.items()}
    return found, supply_bill.closure(ROOT / "pyproject.toml")


def others(extras: set[str]) -> str:
    """What is installed here and would not be there after installing the package with these extras."""
    makers, parts = made_by()
    with_these = {part.name for part in parts if extras & set(part.extras)}
    here = {name for name, by in makers.items() if not by & with_these}
    return ",".join(sorted(here - {"insula", "_pytest"}))


def ran(script: str, *words: str) -> str:
    got = subprocess.run(
        [sys.executable, "-c", BLOCK + script, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert got.returncode == 0, got.stdout + got.stderr
    return got.stdout


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    cohort = make(folder / "scans", patients=6, split="train")
    cases = tuple(replace(case, labels={"stroke": case.labels["answer"]}) for case in cohort.cases)
    table.save(replace(cohort, cases=cases), folder / "cohort.csv")
    return folder


def test_predicting_explaining_and_cohorts_need_the_light_install_alone(
    tiny_bundle: Callable[..., Bundle], scans: Path
) -> None:
    modules = json.dumps(sorted({place.partition(":")[0] for place, _ in VERBS.values()}))
    bundle = str(tiny_bundle().path)
    demo, evaluate = json.loads(ran(WORK, others({""}), bundle, str(scans / "scans"), str(scans), modules))
    assert "pip install 'insula[train]'" in demo
    assert "pip install 'insula[evaluate]'" in evaluate
    assert (scans / "table.csv").read_text().count("\n") == 7
    assert list((scans / "heat").rglob("*.png"))


@pytest.mark.serve
def test_serving_needs_its_own_part_alone(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom())
    told = ran(SERVE, others({"", "serve"}), str(tiny_bundle().path), str(tmp_path / "a.dcm"))
    assert told.strip() in BINARY


def at_the_top(path: Path) -> list[str]:
    return re.findall(r"^(?:import|from) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_no_module_of_the_light_wing_imports_a_heavy_part_at_its_top() -> None:
    files = [path for name in LIGHT for path in sorted((SOURCE / name).rglob("*.py"))]
    met = {
        f"{path.relative_to(SOURCE)}: {name}"
        for path in files
        for name in at_the_top(path)
        if name.partition(".")[0] in HEAVY
    }
    assert met == set()
    assert len(files) > 400
    assert "pandas" in HEAVY
    assert "torch" in HEAVY
