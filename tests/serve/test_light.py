from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serve.client import dicom

from insula.bundle.types import Bundle

pytestmark = pytest.mark.serve

SCRIPT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "lightning", "onnx", "sklearn", "pandas"):
            raise ImportError(name + " was imported")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from insula.bundle.load import load
from insula.infer.predict import Predictor
from insula.serve import run
from insula.serve.app import create_app
from insula.serve.settings import Settings
create_app(Settings(bundle=Path(sys.argv[1]), threads=1))
late = {"scipy.stats", "scipy.optimize"} & {*sys.modules}  # a second of imports that no prediction needs
assert not late, late
print(Predictor(load(Path(sys.argv[1])), 1).path(Path(sys.argv[2]), 5).probabilities.sum())
"""


def test_predicting_and_serving_need_no_training_library(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom())
    command = [sys.executable, "-c", SCRIPT, str(tiny_bundle().path), str(tmp_path / "a.dcm")]
    got = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr
    assert abs(float(got.stdout) - 1) < 1e-5
