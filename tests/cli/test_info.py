from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from insula import __version__
from insula.cli import info
from insula.cli.info_machine import machine
from insula.cli.main import main
from insula.core.parts import PARTS


def told(*words: str) -> str:
    got = CliRunner().invoke(main, ["info", *words], catch_exceptions=False)
    assert got.exit_code == 0
    return got.output


def test_it_tells_versions_parts_entries_machine_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_TRAIL_KEY", "the-secret-itself")
    monkeypatch.setenv("INSULA_PROT", "9000")
    data = json.loads(told("--json"))
    assert data["insula"] == __version__
    assert data["parts"].keys() == PARTS.keys()
    assert data["packages"]["numpy"]
    assert data["providers"][-1] == "cpu"
    assert "stroke-ct" in data["recipes"]
    assert "windows" in data["entries"]["prep"]
    assert data["machine"]["cores"] >= data["machine"]["usable_cores"] >= 1
    assert "INSULA_TRAIL_KEY" in data["settings"]["set"]
    assert data["settings"]["unknown"] == {"INSULA_PROT": "INSULA_PORT"}
    assert "the-secret-itself" not in json.dumps(data)


def test_the_text_says_the_same_and_how_to_add_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_TRAIL_KEY", "the-secret-itself")
    monkeypatch.setattr(info, "missing", lambda part: ("torch",) if part == "train" else ())
    text = told()
    assert "lacks torch: pip install 'insula[train]'" in text
    assert "Settings in the environment (names alone): " in text
    assert "the-secret-itself" not in text
    assert text.count("installed") == len(PARTS) - 1
    assert "insula info --json" in text


def test_the_processor_and_the_cards_are_read_from_the_systems_files(tmp_path: Path) -> None:
    cpu, cards = tmp_path / "cpuinfo", tmp_path / "gpus"
    cpu.write_text("processor\t: 0\nmodel name\t: A core\nflags\t\t: fpu avx2 avx512_vnni\n")
    (cards / "0000:01:00.0").mkdir(parents=True)
    (cards / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 1\n")
    found = machine(cpu, cards)
    assert found["processor"] == "A core"
    assert found["instructions"] == ["avx2", "avx512_vnni"]
    assert found["gpus"] == ["NVIDIA H100"]
    none = machine(tmp_path / "nothing", tmp_path / "nothing")
    assert none["instructions"] == none["gpus"] == []
    assert none["processor"]
