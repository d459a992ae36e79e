"""`insula export`: which words go together, and what a form's verb prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from insula.bundle.types import Bundle
from insula.cli.export import export
from insula.core.errors import BundleError, UsageError


def call(*words: str | Path) -> str:
    return CliRunner().invoke(export, [str(w) for w in words], catch_exceptions=False).stdout


def test_a_bundle_is_written_in_another_form(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    said = json.loads(call(bundle.path, "--format", "onnx", "--out", tmp_path / "o", "--json"))
    assert (said["format"], said["bundle_id"], said["out"]) == ("onnx", bundle.id, str(tmp_path / "o"))
    assert {"model.onnx", "head.onnx", "model.json", "predict.py", "check/ct.npy"} <= set(said["files"])
    assert f"Try it: python {tmp_path / 'p' / 'predict.py'} --check" in call(
        bundle.path, "--format", "onnx", "--out", tmp_path / "p"
    )
    assert "docs/README.md" in call(bundle.path, "--format", "monai", "--out", tmp_path / "m")


def test_words_that_do_not_go_together_are_refused(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = str(tiny_bundle().path)
    out = str(tmp_path / "o")
    with pytest.raises(UsageError, match="--out is missing: --format onnx writes a BUNDLE to a new folder"):
        call(bundle, "--format", "onnx")
    with pytest.raises(UsageError, match=r"reads no cohort; leave 'split\.parquet' out"):
        call(bundle, "split.parquet", "--format", "onnx", "--out", out)
    with pytest.raises(UsageError, match="Give the COHORT that the run 'runs/first' was trained on"):
        call("runs/first", "--out", out)
    for words in ([bundle, "--out", out], [bundle, "--format", "bundle"]):
        with pytest.raises(UsageError, match="is a bundle already; to write it in another form give --format onnx, "):
            call(*words)
    for more in ([], ["--out", out]):
        with pytest.raises(UsageError, match="'torchscript'; known are: bundle, monai, onnx, safetensors"):
            call(bundle, "--format", "torchscript", *more)
    with pytest.raises(BundleError, match="There is no bundle folder"):
        call(tmp_path / "none", "--format", "monai", "--out", out)
    assert not Path(out).exists()


def test_neither_onnx_nor_monai_needs_pytorch(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    import subprocess
    import sys

    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "lightning", "onnx", "monai"):
            raise ImportError(name + " was imported")
sys.meta_path.insert(0, Refuse())
from insula.cli.export import export
for form in ("onnx", "monai"):
    export([sys.argv[1], "--format", form, "--out", f"{sys.argv[2]}/{form}"], standalone_mode=False)
"""
    command = [sys.executable, "-c", script, str(tiny_bundle().path), str(tmp_path)]
    got = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "onnx" / "model.json").is_file()
    assert (tmp_path / "monai" / "configs" / "metadata.json").is_file()
