from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.serve.client import dicom

from insula.bundle.types import Bundle
from insula.cli.explain import explain
from insula.cli.info import info
from insula.cli.predict import predict
from insula.core.errors import UnsuitableScanError, UsageError
from insula.serve.run import socket_on

pytestmark = pytest.mark.serve


def write(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_predict_takes_several_scans_and_ends_with_the_first_errors_code(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = str(tiny_bundle().path)
    good, other = write(tmp_path, "a.dcm", dicom()), write(tmp_path, "mr.dcm", dicom("MR"))
    got = CliRunner().invoke(predict, [bundle, other, good, str(tmp_path / "none"), "--passes", "5", "--json"])
    assert got.exit_code == UnsuitableScanError.exit_code
    data = json.loads(got.stdout)
    assert [r["case"] for r in data["results"]] == ["a.dcm"]
    assert set(data["results"][0]["spread"]) == {"normal", "stroke"}
    assert [e["code"] for e in data["errors"]] == ["unsuitable_scan", "unreadable_scan"]
    assert data["errors"][0]["decision"] == "reject"


def test_predict_prints_a_table_and_writes_heat_maps(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = str(tiny_bundle().path)
    scans = [write(tmp_path, f"{i}.dcm", dicom(seed=i)) for i in range(5)]
    got = CliRunner().invoke(predict, [bundle, *scans, "--heatmaps", str(tmp_path / "heat")])
    assert got.exit_code == 0, got.output
    assert got.stdout.splitlines()[0].split() == ["case", "answer", "confidence", "decision", "why"]
    assert "5 predicted, 0 refused" in got.stdout
    assert len(list((tmp_path / "heat").iterdir())) >= 1
    one = CliRunner().invoke(predict, [bundle, scans[0]])
    assert "normal" in one.stdout


def test_explain_writes_pictures_and_says_where(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    pytest.importorskip("insula.scans.write")
    import nibabel as nib

    bundle = str(tiny_bundle().path)
    scan = write(tmp_path, "a.dcm", dicom())
    got = CliRunner().invoke(explain, [bundle, scan, "--out", str(tmp_path / "x"), "--class", "stroke", "--json"])
    assert got.exit_code == 0, got.output
    data = json.loads(got.stdout)
    assert data["class"] == "stroke"
    assert all(Path(f).is_file() for f in data["files"])
    heat: Any = nib.load(next(f for f in data["files"] if f.endswith(".nii.gz")))
    assert heat.shape[:2] == (16, 16)
    assert [s["slice"] for s in data["slices"]] in ([0], [])
    wrong = CliRunner().invoke(explain, [bundle, scan, "--out", str(tmp_path / "x"), "--class", "tumour"])
    assert isinstance(wrong.exception, UsageError)


def test_info_names_recipes_and_parts() -> None:
    got = CliRunner().invoke(info, ["--json"])
    data = json.loads(got.stdout)
    assert "haemorrhage-ct" in data["recipes"]
    assert "windows" in data["entries"]["prep"]
    assert data["parts"]["serve"] is True
    assert "not a medical device" in CliRunner().invoke(info, []).stdout


def test_info_imports_nothing_heavy() -> None:
    code = (
        "import sys; from insula.cli.info import info\n"
        "try: info([])\nexcept SystemExit: pass\n"
        "heavy = {'numpy','torch','onnxruntime','fastapi','pydantic','pandas','matplotlib','yaml'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr


def test_a_taken_port_is_named() -> None:
    with socket_on("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="--port"):
        socket_on("127.0.0.1", taken.getsockname()[1])


def test_serve_answers_and_ends_on_ctrl_c(tiny_bundle: Callable[..., Bundle]) -> None:
    code = "from insula.cli.serve import serve; serve()"
    command = [sys.executable, "-c", code, str(tiny_bundle().path), "--port", "0", "--threads", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("INSULA_")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment | {"PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.communicate(timeout=5)
        address = next(word for word in line.split() if word.startswith("http"))
        with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok", "model_loaded": True}
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in errors
    finally:
        process.kill()
