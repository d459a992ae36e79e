"""`insula embed`, `insula features` and `insula similar` one after the other on real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.tiny_cohort import make as make_cohort

from insula.bundle.types import Bundle
from insula.cli.embed import embed
from insula.cli.features import features
from insula.cli.similar import similar
from insula.cohort.table import save
from insula.core.errors import UsageError
from insula.infer import feature_store as stores


@pytest.fixture
def ready(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> tuple[Bundle, Path]:
    bundle, cohort = tiny_bundle(), make_cohort(tmp_path / "scans", patients=6)
    (tmp_path / "scans/4/0.dcm").write_bytes(b"")
    save(cohort, tmp_path / "cohort.csv")
    found = told(embed, str(bundle.path), str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "store"))
    assert (found["rows"], found["made"], found["failed"]) == (5, 5, 1)
    return bundle, tmp_path / "store"


def call(command: Any, *words: str) -> Result:
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def told(command: Any, *words: str) -> dict[str, Any]:
    got = call(command, *words, "--json")
    assert got.exit_code == 0, got.output
    found: dict[str, Any] = json.loads(got.stdout)
    return found


def test_a_scan_of_the_store_finds_itself_first(ready: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, store = ready
    words = (str(bundle.path), str(tmp_path / "scans/3"), "--store", str(store), "--top", "3")
    found = told(similar, *words, "--out", str(tmp_path / "s.html"))
    assert found["cases"][0]["case"] == "case-3"
    assert found["cases"][0]["same"] is True
    assert len(found["cases"]) == 3
    assert any("this very scan" in note for note in found["notes"])
    assert "This scan" in (tmp_path / "s.html").read_text()
    others = told(similar, *words, "--not-patient", "A3")
    assert "case-3" not in {row["case"] for row in others["cases"]}
    assert others["searched"] == 4
    nobody = told(similar, *words, "--not-patient", "nobody")
    assert "No case of the store is of patient 'nobody': nobody was left out." in nobody["notes"]
    text = call(similar, *words).output
    assert "no proof that two patients have the same disease" in text
    assert "labelled cases here are" in text


def test_a_case_of_the_store_asks_for_others(ready: tuple[Bundle, Path]) -> None:
    bundle, store = ready
    found = told(similar, str(bundle.path), "--case", "case-2", "--store", str(store))
    assert found["query"] == "case-2"
    assert {row["case"] for row in found["cases"]} == {"case-0", "case-1", "case-3", "case-5"}
    for words in (("--case", "case-9"), ("--case", "case-2", "--split", "val"), (), ("x", "--case", "case-2")):
        with pytest.raises(UsageError):
            call(similar, str(bundle.path), *words, "--store", str(store))


def test_a_store_of_another_bundle_is_refused(ready: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, store = ready
    opened = stores.load(store)
    index = {name: list(column) for name, column in opened.index.items()}
    stores.write(store, opened.embeddings[:], index, (), {**opened.facts, "bundle": "0" * 16})
    with pytest.raises(UsageError, match="made with bundle 0000000000000000"):
        call(similar, str(bundle.path), str(tmp_path / "scans/3"), "--store", str(store))


def test_the_page_of_a_store(ready: tuple[Bundle, Path], tmp_path: Path) -> None:
    _, store = ready
    page, table = tmp_path / "f.html", tmp_path / "f.csv"
    words = (str(store), "--out", str(page), "--map", "pca", "--table", str(table))
    found = told(features, *words)
    assert (found["cases"], found["shown"], found["page"]) == (5, 5, str(page))
    assert [m["name"] for m in found["maps"]] == ["pca"]
    assert "<canvas" in page.read_text()
    assert len(table.read_text().splitlines()) == 6
    text = call(features, *words).output
    assert "5 of 5 cases on the maps" in text
    assert "1 cases failed" not in text
    assert "1 case failed" in text


def test_a_stored_case_that_is_rejected_is_said_and_has_no_probability(ready: tuple[Bundle, Path]) -> None:
    bundle, store = ready
    opened = stores.load(store)
    index = {name: list(column) for name, column in opened.index.items()}
    for name, value in (("action", "reject"), ("predicted", ""), ("p_stroke", "")):
        index[name][index["case"].index("case-2")] = value
    stores.write(store, opened.embeddings[:], index, (), opened.facts)
    asked = told(similar, str(bundle.path), "--case", "case-2", "--store", str(store))
    assert asked["decision"] == "rejected"
    assert asked["notes"] == ["The policy rejects this scan. What is alike to it tells nothing."]
    others = told(similar, str(bundle.path), "--case", "case-3", "--store", str(store))
    found = {row["case"]: row["probability"] for row in others["cases"]}
    assert found.pop("case-2") is None
    assert all(p is not None for p in found.values())


def test_the_policys_rejection_is_said(ready: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, store = ready
    from insula.infer import decide

    with pytest.MonkeyPatch.context() as patch:
        rejected = replace(decide.reject(UsageError("too far")), reasons=("too far",))
        patch.setattr(decide, "decide", lambda *_: rejected)
        found = told(similar, str(bundle.path), str(tmp_path / "scans/1"), "--store", str(store))
    assert found["decision"] == "rejected"
    assert found["notes"][0].startswith("The policy rejects this scan: too far")
