from __future__ import annotations

import gc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.postgresql import SECRET, server
from tests.workflows.made_search import SPACE, searched
from tests.workflows.test_search_run import begin

from insula.core.errors import MissingPartError, UsageError
from insula.workflows import search_study
from insula.workflows.search_results import write

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database on a loopback port that asks for a password."""
    with server() as address:
        yield address


def test_workers_share_a_postgresql_study_and_its_password_is_written_nowhere(postgres: str, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    workers = [begin(postgres, 12, "random", 0.1, folder, 2) for folder in folders]
    said = [worker.communicate(timeout=200)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    done = [len(list(folder.glob("*"))) for folder in folders]
    assert sum(done) == 12
    assert min(done) > 0
    lines: list[str] = []
    found = searched(postgres, 13, say=lines.append)
    assert len({str(t.values) for t in found.of("complete")}) == 13
    write(found, tmp_path / "out")
    text = "".join(p.read_text() for p in (tmp_path / "out").iterdir()) + "".join((*said, *lines))
    assert "127.0.0.1" in text
    assert [word for word in (SECRET, "alice") if word in text] == []
    gc.collect()  # a connection that was left open would warn here


def test_a_wrong_password_is_not_repeated(postgres: str) -> None:
    wrong = postgres.replace(SECRET, "orchid-99")
    with pytest.raises(UsageError, match=r"The store postgresql://127\.0\.0\.1:\d+/postgres does not open") as caught:
        searched(wrong, 1)
    assert "orchid" not in str(caught.value)


def test_a_store_that_does_not_answer_is_said_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_study, "_TRIES", 1)
    address = f"sqlite:////proc/nowhere/{SECRET[:5]}.db"
    with pytest.raises((UsageError, OSError)):
        searched(address, 1)
    if find_spec("psycopg") is not None:
        asked = f"postgresql://alice:{SECRET}@127.0.0.1:9/x?sslpassword={SECRET}&connect_timeout=2"
        with pytest.raises(UsageError, match=r"postgresql://127\.0\.0\.1:9/x does not open") as caught:
            searched(asked, 1)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (f"pgsql//:{SECRET}", "cannot be read"),
        (f"mysql://alice:{SECRET}@here/x", "'mysql' cannot be used"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_other_stores_are_refused_without_their_address(store: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        search_study.url(store, tmp_path)
    assert SECRET not in str(caught.value)


def test_the_driver_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_study, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"insula\[postgres\]"):
        search_study.url("postgresql://alice@here/x", tmp_path)


def test_the_store_is_a_file_in_the_folder_unless_another_is_given(tmp_path: Path) -> None:
    assert search_study.shown(search_study.url("", tmp_path / "out")) == f"sqlite:///{tmp_path}/out/search.db"
    assert search_study.url("postgresql+psycopg://h/x", tmp_path).drivername == "postgresql+psycopg"


def test_names_of_samplers_and_pruners_are_checked() -> None:
    with pytest.raises(UsageError, match="no sampler 'cmaes'; choose from tpe, random, grid"):
        search_study.sampler("cmaes", SPACE, 0)
    with pytest.raises(UsageError, match="no pruner 'all'; choose from median, hyperband, none"):
        search_study.pruner("all", 3)
