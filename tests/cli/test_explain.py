"""`insula explain` on a bundle alone: its words, its files, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.tiny_bundle import parts, recipe, rejecting, volume, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cli import explain as explain_module
from insula.cli.explain import explain
from insula.core.errors import UsageError
from insula.core.recipe import Target


def scan(folder: Path, slices: int = 4) -> str:
    made = volume(slices, size=32)
    made.array[0, 2, 8:16, 16:28] += 60.0
    np.savez(folder / "head.npz", array=made.array[0], units=np.array("HU"))
    return str(folder / "head.npz")


def run(bundle: Bundle, folder: Path, *words: str) -> dict[str, Any]:
    got = CliRunner().invoke(
        explain,
        [str(bundle.path), scan(folder), "--out", str(folder / "out"), "--json", *words],
        catch_exceptions=False,
    )
    assert got.exit_code == 0, got.output
    found: dict[str, Any] = json.loads(got.stdout)
    return found


def test_the_class_map_and_its_words(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    found = run(tiny_bundle(), tmp_path, "--class", "stroke", "--top", "2")
    assert (found["class"], found["of"], found["method"], found["unit"]) == (
        "stroke", "answer", "class_map", "score per cell",
    )  # fmt: skip
    assert 1 <= len(found["slices"]) <= 2
    assert all(Path(file).is_file() for file in found["files"])
    assert {"heat-stroke.nii.gz", "slice-weights.csv"} <= {Path(file).name for file in found["files"]}
    shown = found["slices"][0]
    assert 0 < shown["share"] <= 1
    assert 0 < shown["peak"][0] < 1
    got = CliRunner().invoke(explain, [str(tiny_bundle().path), scan(tmp_path), "--out", str(tmp_path / "b")])
    assert "Where the score of " in got.output
    assert "comes from, by class_map:" in got.output
    assert "why" not in got.output.lower()
    assert "explains" not in got.output.lower()


def test_words_pictures_and_options_count_from_1_and_data_from_0(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = tiny_bundle()
    found = run(bundle, tmp_path, "--class", "stroke", "--slices", "4,1")
    assert [(s["slice"], s["of"]) for s in found["slices"]] == [(3, 4), (0, 4)]
    drawn = [Path(file).name for file in found["files"] if "-stroke.png" in file and "slice-" in file]
    assert drawn == ["slice-0004-stroke.png", "slice-0001-stroke.png"]
    words = [str(bundle.path), scan(tmp_path), "--out", str(tmp_path / "b"), "--class", "stroke", "--slices", "4,1"]
    said = CliRunner().invoke(explain, words).output
    assert "  slice 4 of 4: " in said
    assert "  slice 1 of 4: " in said
    assert "Slices count from 1." in said
    top = max(found["bar_top"].values())
    assert f"Bar: 0 to {top:.3g}, score per cell. The bar's top is the heat of the hottest cell" in said
    assert "is no proof" in said


def test_no_heat_is_said_of_a_slice_and_of_a_scan(tmp_path: Path) -> None:
    made = weights(1, 2)
    made.head[1] = -np.abs(made.head[1])  # features are never below 0: whatever is seen lowers this score
    bundle = save(tmp_path / "cold", parts(recipe(), made))
    words = [str(bundle.path), scan(tmp_path), "--out", str(tmp_path / "out"), "--class", "stroke"]
    said = CliRunner().invoke(explain, words).output
    assert "  no heat: no part of the scan raises this score" in said
    assert "Bar" not in said
    assert not list((tmp_path / "out").glob("*.png"))
    named = CliRunner().invoke(explain, [*words, "--slices", "2"]).output
    assert "  slice 2 of 4: no heat, weight 0.25" in named
    with Image.open(tmp_path / "out" / "slice-0002-stroke.png") as image:
        assert image.size == (384, 384)  # the scan alone: no bar
        assert image.text["Note"].startswith("No heat above 0")  # type: ignore[attr-defined]


def test_a_rejected_scan_is_marked_on_its_pictures_and_has_no_answer(tmp_path: Path) -> None:
    bundle = save(tmp_path / "b", rejecting(parts(recipe(), weights(1, 2))))
    found = run(bundle, tmp_path)
    assert (found["decision"], found["label"], found["probabilities"]) == ("reject", "", {})
    (picture, *_) = (file for file in found["files"] if Path(file).name.startswith("slice-") and file.endswith(".png"))
    assert "The policy rejects this scan" in Image.open(picture).text["Note"]  # type: ignore[attr-defined]


def test_the_reasons_of_a_referral_are_said(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    words = [str(tiny_bundle(refer={"spread": 1e-6}).path), scan(tmp_path), "--out", str(tmp_path / "out")]
    got = CliRunner().invoke(explain, words)
    assert "referred: spread" in got.output


def test_occlusion_looks_at_the_slices_that_are_drawn(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    words = (
        "--method",
        "occlusion",
        "--class",
        "stroke",
        "--slices",
        "2-3,4",
        "--patch",
        "8",
        "--measure",
        "probability",
    )
    found = run(tiny_bundle(), tmp_path, *words)
    assert found["unit"] == "drop of the probability"
    assert [s["slice"] for s in found["slices"]] == [1, 2, 3]
    few = run(tiny_bundle(), tmp_path, "--method", "occlusion", "--class", "stroke", "--top", "1")
    assert len(few["slices"]) <= 1
    assert few["notes"] == ["heat was measured for some of the slices only"]


def test_window_opacity_colours_and_size(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    base = ("--class", "stroke", "--slices", "3", "--opacity", "0")

    def corner(*words: str) -> Any:
        files = run(bundle, tmp_path, *base, *words)["files"]
        with Image.open(next(f for f in files if "slice-0003" in f)) as image:
            return image.size, np.asarray(image)

    size, plain = corner()
    assert size[1] == 384
    small, _ = corner("--size", "0")
    assert small[1] == 16
    assert corner("--window", "1000,100")[1][:, :384].max() == 0  # nothing of this head reaches 950 HU
    assert corner("--window", "-900,100")[1][:, :384].min() == 255
    bar = corner("--colours", "cividis")[1]
    assert (bar[:, :384] == plain[:, :384]).all()
    assert (bar[:, 384:] != plain[:, 384:]).any()


def test_a_binary_target_has_one_score(tmp_path: Path) -> None:
    made = recipe()
    binary = Target.model_validate({"kind": "binary", "classes": ["normal", "stroke"]})
    made = made.model_copy(update={"targets": {"answer": binary}})
    bundle = save(tmp_path / "bundle", replace(parts(made, weights(1, 2)), recipe=made))
    assert run(bundle, tmp_path)["class"] == "stroke"
    words = [str(bundle.path), scan(tmp_path), "--out", str(tmp_path / "out"), "--class", "normal"]
    refused = CliRunner().invoke(explain, words)
    assert isinstance(refused.exception, UsageError)
    assert "has one score, that of 'stroke'" in str(refused.exception)
    found = run(bundle, tmp_path, "--class", "normal", "--method", "occlusion", "--measure", "probability")
    assert found["class"] == "normal"


def test_what_cannot_be_followed_is_refused(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle, path, out = str(tiny_bundle().path), scan(tmp_path), str(tmp_path / "out")
    for words, reason in (
        ([bundle, "--out", out], "Give either one SCAN"),
        ([bundle, path, "--scan", f"ct={path}", "--out", out], "Give either one SCAN"),
        ([bundle, path, "--method", "lime", "--out", out], "no explainer called 'lime'; known are: .*occlusion"),
        ([bundle, path, "--class", "x", "--out", out], "no class 'x' in this bundle; it has: normal, stroke"),
        ([bundle, path, "--slices", "5", "--out", out], "has no slice 5; its slices count from 1 to 4"),
        ([bundle, path, "--slices", "0", "--out", out], "no list of slices, which count from 1"),
        ([bundle, path, "--slices", "3-2", "--out", out], "no list of slices, which count from 1"),
        ([bundle, path, "--method", "occlusion", "--patch", "4", "--stride", "9", "--out", out], "leaves pixels out"),
    ):
        refused = CliRunner().invoke(explain, words)
        assert isinstance(refused.exception, UsageError), refused.output
        with pytest.raises(UsageError, match=reason):
            raise refused.exception
    assert not (tmp_path / "out").exists()


def test_a_bar_is_drawn_only_where_something_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explain_module, "on_terminal", lambda: True)
    explain_module._bar()
    assert capsys.readouterr().err == ""
    bar = explain_module._bar()
    bar(1, 4)
    assert "0/4" in capsys.readouterr().err
    bar(4, 4)
    assert capsys.readouterr().err.endswith("\r")
