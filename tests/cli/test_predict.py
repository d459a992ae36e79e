from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.scans.made_dicom import write
from tests.serve.client import png
from tests.tiny_bundle import parts, recipe, rejecting, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cli.predict import predict
from insula.core.errors import ScanError, UnsuitableScanError, UsageError


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


@pytest.mark.parametrize(
    "words", [["--uncertainty", "foo"], ["--uncertainty=foo"], ["--uncertainty", "Dropout"], ["--uncertainty="]]
)
def test_a_source_that_there_is_not_is_no_scan(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, words: list[str]
) -> None:
    bundle, path = str(tiny_bundle().path), scan(tmp_path)
    wrong = words[-1].partition("=")[2] if "=" in words[-1] else words[-1]
    for asked in ([bundle, path, *words], [*words, bundle, path], [bundle, *words, path]):
        got = CliRunner().invoke(predict, asked)
        assert isinstance(got.exception, UsageError), asked
        assert f"'{wrong}' is no source of uncertainty" in str(got.exception)
        assert "write --uncertainty policy, dropout, views, members or all" in str(got.exception)
        assert got.stdout == ""


def test_what_follows_the_flag_alone_may_be_a_scan_of_any_name(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = str(tiny_bundle().path)
    scan(tmp_path, "foo")
    monkeypatch.chdir(tmp_path)
    assert set(said(bundle, "--uncertainty", "foo")["uncertainty"]) == {"dropout"}  # it is there
    for asked in ([bundle, "--uncertainty", "not/there.dcm"], [bundle, "--uncertainty", "--", "not-there"]):
        got = CliRunner().invoke(predict, asked)
        assert got.exit_code == ScanError.exit_code
        assert "0 predicted, 1 refused." in got.output
    scan(tmp_path, "--uncertainty")
    got = CliRunner().invoke(predict, ["--json", "--", bundle, "--uncertainty"])  # a scan of that name
    assert [r["case"] for r in json.loads(got.stdout)["results"]] == ["--uncertainty"]


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


def test_heat_maps_of_a_no_are_those_of_the_finding_and_no_heat_is_said(tmp_path: Path) -> None:
    made = weights(1, 2)
    made.head[1] = np.abs(made.head[1])
    made.offset[:] = (0.0, -50.0)
    warm = save(tmp_path / "warm", parts(recipe("binary"), made))
    words = [str(warm.path), scan(tmp_path), "--heatmaps", str(tmp_path / "heat")]
    said = CliRunner().invoke(predict, words).stdout
    assert "1 pictures" not in said
    assert "  a picture of evidence for “stroke”, which the model does not call present, in " in said
    result = json.loads(CliRunner().invoke(predict, [*words, "--json"]).stdout)["results"][0]
    assert (result["label"], result["heatmaps_of"]) == ("normal", "stroke")
    assert [Path(p).name for p in result["heatmaps"]] == ["slice-0001-stroke.png"]
    made.head[1] *= -1
    cold = save(tmp_path / "cold", parts(recipe("binary"), made))
    said = CliRunner().invoke(predict, [str(cold.path), *words[1:]]).stdout
    assert "  no heat: no part of the scan is evidence for “stroke”, which the model does not call present\n" in said


def test_first_hour_a_folder_of_many_cases_is_told_how_it_is_predicted(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle, folder = str(tiny_bundle().path), tmp_path / "many cases"
    (folder / "one").mkdir(parents=True)
    (folder / "two").mkdir()
    (folder / "two" / "a.png").write_bytes(png())
    scan(folder / "one")
    got = CliRunner().invoke(predict, [bundle, str(folder)])
    assert got.exit_code == ScanError.exit_code
    assert f"predict each of them: insula predict {bundle} '{folder}' --out table.parquet" in got.stderr
    (folder / "note.txt").write_text("no scan")
    alone = CliRunner().invoke(predict, [bundle, str(folder / "note.txt")])
    assert "predict each of them" not in alone.stderr


def test_first_hour_an_error_of_predict_ends_with_the_page_that_says_more(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("no scan")
    got = CliRunner().invoke(predict, [str(tiny_bundle().path), str(tmp_path / "note.txt"), str(tmp_path / "none")])
    assert got.exit_code == ScanError.exit_code
    assert got.stderr.endswith("More: insula docs errors#unreadable_scan\n")
    assert got.stderr.count("More: ") == 1
