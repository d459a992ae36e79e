from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.training.made_run import BEGUN, curve, made, put

from insula.serve.faults import RequestError
from insula.serve.training import find

pytestmark = pytest.mark.serve


def test_runs_are_found_four_levels_deep_the_latest_first(tmp_path: Path) -> None:
    made(tmp_path, "old", [0.5])
    made(tmp_path, "study/arm/two/member-0", [0.5, 0.4])
    made(tmp_path, "study/arm/two/deep/er", [0.5])
    (tmp_path / "bundle").mkdir()
    put(tmp_path / "bundle" / "recipe.yaml", "name: a bundle has one too", BEGUN)
    assert find.names(tmp_path) == ["study/arm/two/member-0", "old"]


def test_links_and_hidden_folders_lead_nowhere(tmp_path: Path) -> None:
    home, outside = tmp_path / "runs", tmp_path / "outside"
    made(home, "here", [0.5])
    made(outside, "secret", [0.5])
    made(home, ".hidden", [0.5])
    (home / "link").symlink_to(outside / "secret")
    (home / "all").symlink_to(outside)
    assert find.names(home) == ["here"]
    for name in (
        "link",
        "all/secret",
        ".hidden",
        "../outside/secret",
        "here/../../outside/secret",
        "here/",
        "",
        "/",
        ".",
    ):
        with pytest.raises(RequestError) as error:
            find.folder_of(home, name)
        assert (error.value.status, error.value.fault_code) == (404, "no_such_run"), name
    assert find.folder_of(home, "here") == home / "here"


def test_files_that_are_links_are_not_read(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    folder = made(home, "here", [])
    other = made(tmp_path, "other", [0.5])
    (folder / "curves").symlink_to(other / "curves")
    (folder / "curves-2").mkdir()
    (folder / "curves-2" / "metrics.csv").symlink_to(other / "curves" / "metrics.csv")
    assert find.parts_of(folder) == []
    (folder / "recipe.yaml").unlink()
    (folder / "recipe.yaml").symlink_to(other / "recipe.yaml")
    assert find.names(home) == []


def test_what_is_no_text_or_cannot_be_opened_is_passed_over(tmp_path: Path) -> None:
    made(tmp_path, "good", [0.5])
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    assert find.names(tmp_path) == ["good"]


def test_the_search_ends_where_a_folder_holds_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a", [0.5])
    made(tmp_path, "z", [0.5])
    monkeypatch.setattr(find, "_MOST", 2)
    assert find.names(tmp_path) == ["a"]


def test_parts_stand_in_the_order_of_their_making(tmp_path: Path) -> None:
    folder = made(tmp_path, "run", [0.5])
    for number in (10, 2):
        curve(folder / f"curves-{number}", [0.4], BEGUN, 1.0, number)
    (folder / "curves-old").mkdir()
    put(folder / "curves-old" / "metrics.csv", "epoch\n", BEGUN)
    assert [path.parent.name for path in find.parts_of(folder)] == ["curves", "curves-2", "curves-10"]


def test_a_run_that_is_taken_away_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "here", [0.5])
    gone, below = made(tmp_path, "gone", [0.5]), find._below

    def emptied(home: Path) -> Iterator[Path]:
        for folder in below(home):
            if folder == gone:
                shutil.rmtree(folder)
            yield folder

    monkeypatch.setattr(find, "_below", emptied)
    assert find.names(tmp_path) == ["here"]
