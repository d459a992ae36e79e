"""The cores that a process may use are those of its binding and of its control groups' quotas."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from insula.core.cores import usable


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def groups(folder: Path, mine: str, **quotas: str) -> tuple[Path, Path]:
    told = folder / "told"
    told.write_text(mine)
    for name, quota in quotas.items():
        place = folder / "groups" / name.replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        (place / "cpu.max").write_text(quota)
    return folder / "groups", told


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("max 100000\n", 8),
        ("9900000 100000\n", 8),
        ("", 8),
        ("1 0", 8),
        ("a b", 8),
    ],
)
def test_a_quota_is_kept_to(quota: str, cores: int, tmp_path: Path) -> None:
    assert usable(*groups(tmp_path, "0::/\n", **{".": quota})) == cores


def test_the_least_quota_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    place = groups(tmp_path, "1:cpu:/x\n0::/pods/one\n", pods="300000 100000", pods__one="max 100000")
    assert usable(*place) == 3


def test_without_control_groups_the_binding_counts(tmp_path: Path) -> None:
    assert usable(tmp_path / "none", tmp_path / "none either") == 8
    assert usable(*groups(tmp_path, "4:cpu:/x\n")) == 8  # the older ones only
