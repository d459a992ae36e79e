"""Secrets from files: a folder that a container mounts, each file named as its variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.core.errors import UsageError
from insula.serve.monitor.settings import read_monitor_settings
from insula.serve.pacs.settings import login, read_pacs_settings
from insula.serve.people.settings import read_people_settings
from insula.serve.settings import read_settings

pytestmark = pytest.mark.serve


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as Kubernetes lays it: files are links into a folder that is exchanged as a whole."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    monkeypatch.setenv("INSULA_SECRETS", str(tmp_path))
    return tmp_path


def put(folder: Path, **values: str) -> None:
    for name, value in values.items():
        (folder / "..2026" / name).write_text(value + "\n")
        (folder / name).symlink_to(f"..data/{name}")


def test_settings_of_every_kind_come_from_files(secrets: Path) -> None:
    put(
        secrets,
        INSULA_DATABASE="postgresql://insula:secret@db/insula",
        INSULA_TRAIL_KEY="t" * 40,
        INSULA_PACS_IDENTITY_KEY="i" * 40,
        INSULA_LOCK_AFTER="7",
        INSULA_DRIFT_RATE="0.01",
        INSULA_PACS_LOGIN_MY_ARCHIVE="name:password",
    )
    settings = read_settings()
    assert settings.database == "postgresql://insula:secret@db/insula"
    assert settings.trail_key is not None
    assert settings.trail_key.get_secret_value() == "t" * 40
    identity = read_pacs_settings().identity_key
    assert identity is not None
    assert identity.get_secret_value() == "i" * 40
    assert read_people_settings().lock_after == 7
    assert read_monitor_settings().drift_rate == 0.01
    assert login("my-archive") == "name:password"


def test_the_environment_comes_before_files_and_the_command_line_before_both(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(secrets, INSULA_PORT="9001", INSULA_HOST="127.0.0.2", INSULA_QUEUE="7", INSULA_PACS_LOGIN_WEB="of the file")
    monkeypatch.setenv("INSULA_PORT", "9002")
    monkeypatch.setenv("INSULA_HOST", "127.0.0.3")
    monkeypatch.setenv("INSULA_PACS_LOGIN_WEB", "of the environment")
    settings = read_settings(port=9003)
    assert (settings.port, settings.host, settings.queue) == (9003, "127.0.0.3", 7)
    assert login("web") == "of the environment"


def test_a_wrong_value_in_a_file_is_told_without_it(secrets: Path) -> None:
    put(secrets, INSULA_PORT="a secret by mistake")
    with pytest.raises(UsageError, match="INSULA_PORT") as told:
        read_settings()
    assert "mistake" not in str(told.value)


def test_a_folder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INSULA_SECRETS", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"INSULA_SECRETS names '.*gone', which is no folder"):
        read_settings()
    with pytest.raises(UsageError, match="INSULA_SECRETS"):
        login("web")


def test_without_the_variable_no_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INSULA_SECRETS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "INSULA_PORT").write_text("9001")
    assert read_settings().port == 8000
    assert login("web") == ""
