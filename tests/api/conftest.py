"""A tiny model and a few made patients, shared by the tests of the Python API."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tiny_bundle

import insula as ins
from insula.core.recipe import Recipe


@pytest.fixture(autouse=True)
def own_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A register of looks of the test's own."""
    path = tmp_path / "register.jsonl"
    monkeypatch.setenv("INSULA_LOOKS", str(path))
    return path


@pytest.fixture(scope="session")
def question() -> Recipe:
    """The recipe of the tiny model: is it a stroke."""
    return tiny_bundle.recipe()


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve made patients, half of them with a stroke."""
    return ins.phantom("stroke-ct", tmp_path_factory.mktemp("made") / "scans", 12, size=64, slices=8)


@pytest.fixture(scope="session")
def cohort(scans: Path, question: Recipe) -> ins.Cohort:
    return ins.Cohort.from_folder(scans, question)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.make(tmp_path_factory.mktemp("tiny")).path


@pytest.fixture(scope="session")
def model(bundle: Path) -> ins.Model:
    return ins.load(bundle)


@pytest.fixture(scope="session")
def folder(cohort: ins.Cohort) -> Path:
    """The folder of one series."""
    return (Path(cohort.root) / cohort.cases[0].scans["ct"].paths[0]).parent
