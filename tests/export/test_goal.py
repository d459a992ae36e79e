"""Where a bundle made of another one may go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insula.bundle.types import Bundle
from insula.core.errors import UsageError
from insula.export.goal import check_goal


def test_a_goal_is_a_new_or_an_empty_folder_outside_the_given_bundle(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tiny_bundle().path
    other = tmp_path / "other"
    other.mkdir()
    check_goal(tmp_path / "new", given)
    check_goal(other, given)
    (other / "manifest.json").write_text("{}")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for goal, why in {
        other: "holds a bundle, which would be replaced",
        tmp_path / "file": "no folder; give --out another name",
        tmp_path / "link": "no folder; give --out another name",
        tmp_path / "mine": "holds other things; give --out a new folder",
        given: "is the bundle that the new one is made of",
        given / "int8": "is in the bundle that the new one is made of",
    }.items():
        with pytest.raises(UsageError, match=why):
            check_goal(goal, given)
    monkeypatch.chdir(given)
    with pytest.raises(UsageError, match="is the bundle that the new one is made of"):
        check_goal(Path(), given)
