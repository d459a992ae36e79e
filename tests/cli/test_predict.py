from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.scans.made_dicom import write
from tests.tiny_bundle import parts, recipe, rejecting, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cli.predict import predict
from insula.core.errors import ScanError, UnsuitableScanError


def scan(folder: Path, name: str = "a.dcm", **header: Any) -> str:
    pixels = np.random.default_rng(0).normal(1064, 25, (24, 24)).astype(np.int16)
    write(folder / name, pixels, **header)
    return str(folder / name)


def said(*words: str) -> dict[str, Any]:
    got = CliRunner().invoke(predict, [*words, "--json"])
    assert got.exit_code == 0, got.output
    found: dict[str, Any] = json.loads(got.stdout)["results"][0]
    return found


@pytest.mark.parametrize(
    ("words", "sources"),
    [
        (["--uncertainty"], {"dropout"}),
        (["--uncertainty", "dropout"], {"dropout"}),
        (["--uncertainty", "views"], {"dropout", "views"}),
        (["--uncertainty=views"], {"dropout", "views"}),
        (["--uncertainty", "all"], {"dropout", "views"}),
        (["--uncertainty", "views", "--passes", "5"], {"dropout", "views"}),
        (["--passes", "5"], {"dropout"}),
        ([], {"dropout"}),
    ],
)
def test_uncertainty_by_source_before_and_after_the_scan(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, words: list[str], sources: set[str]
) -> None:
    bundle, path = str(tiny_bundle().path), scan(tmp_path)
    after, before = said(bundle, path, *words), said(bundle, *words, path)
    assert set(after["uncertainty"]) == sources == set(before["uncertainty"])
    assert after["spread"] is not None
    if "--passes" in words:
        assert after["uncertainty"]["dropout"]["draws"] == 5


def test_without_a_limit_on_it_nothing_is_drawn_that_was_not_asked_for(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = str(tiny_bundle(refer={"spread": None}).path)
    found = said(bundle, scan(tmp_path))
    assert (found["uncertainty"], found["spread"]) == ({}, None)
    assert set(said(bundle, scan(tmp_path), "--uncertainty", "views")["uncertainty"]) == {"views"}


def test_a_limit_on_the_spread_refers_whether_it_is_asked_for_or_not(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = str(tiny_bundle(refer={"spread": 1e-6}).path)
    for words in ([], ["--uncertainty"]):
        found = said(bundle, scan(tmp_path), *words)
        assert found["decision"] == "refer"
        assert any(reason.startswith("spread") for reason in found["reasons"])


def test_the_flag_alone_takes_the_source_that_the_policy_refers_by(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = str(tiny_bundle(refer={"by": "views"}).path)
    assert set(said(bundle, scan(tmp_path), "--uncertainty")["uncertainty"]) == {"views"}


def test_a_knee_is_refused_by_its_header(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    knee = scan(tmp_path, BodyPartExamined="KNEE")
    got = CliRunner().invoke(predict, [str(tiny_bundle().path), knee, "--json"])
    assert got.exit_code == UnsuitableScanError.exit_code
    data = json.loads(got.stdout)
    assert [(e["code"], e["decision"]) for e in data["errors"]] == [("unsuitable_scan", "reject")]
    assert "'KNEE'" in data["errors"][0]["message"]


def test_what_the_model_finds_too_strange_counts_as_refused_and_gets_no_heat_map(tmp_path: Path) -> None:
    bundle = save(tmp_path / "b", rejecting(parts(recipe(), weights(1, 2))))
    got = CliRunner().invoke(
        predict, [str(bundle.path), scan(tmp_path), "--heatmaps", str(tmp_path / "heat"), "--json"]
    )
    assert got.exit_code == UnsuitableScanError.exit_code
    result = json.loads(got.stdout)["results"][0]
    assert (result["decision"], result["label"]) == ("reject", "")
    assert "too unlike the training scans" in result["reasons"][0]
    nothing: dict[str, Any] = {
        "positive": None,
        "probabilities": {},
        "spread": None,
        "prediction_set": [],
        "uncertainty": {},
        "also": {},
    }
    assert {name: result[name] for name in nothing} == nothing
    assert not (tmp_path / "heat").exists()
    text = CliRunner().invoke(predict, [str(bundle.path), scan(tmp_path)]).stdout
    assert "0 predicted, 1 refused" in text


def test_of_a_folder_whose_only_file_is_bad_the_reason_is_said(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    folder = tmp_path / "patient"
    folder.mkdir()
    (folder / "scan.nii").write_bytes(b"")
    got = CliRunner().invoke(predict, [str(tiny_bundle().path), str(folder)])
    assert got.exit_code == ScanError.exit_code
    assert "'patient' holds one file, and it is no scan: 'scan.nii' is empty (0 bytes); copy it again" in got.output
    assert "0 predicted, 1 refused." in got.output
