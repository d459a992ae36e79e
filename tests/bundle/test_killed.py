"""A bundle that is replaced is there at every moment, the old one or the new one, and what a kill leaves is removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny_bundle import make, parts, recipe, weights

from insula.bundle.load import load
from insula.bundle.save import save

ROOT = Path(__file__).parents[2]
_SAVES = """
import os, pathlib, signal, sys
from tests.tiny_bundle import parts, recipe, weights
from insula.bundle import save
real = pathlib.Path.rename
left = int(sys.argv[2])
def step(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
def renamed(self, target):
    step()
    made = real(self, target)
    step()
    return made
pathlib.Path.rename = renamed
exchanged = save._exchanged
def watched(*two):
    step()
    done = exchanged(*two)
    step()
    return done
save._exchanged = watched
save.save(pathlib.Path(sys.argv[1]), parts(recipe(), weights(1, 2, seed=2)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere two renames follow each other")
@pytest.mark.parametrize("steps", [0, 1])
def test_a_bundle_that_is_replaced_is_there_whenever_a_kill_comes(steps: int, tmp_path: Path) -> None:
    old = make(tmp_path)
    new = save(tmp_path / "other", parts(recipe(), weights(1, 2, seed=2)))
    words = [sys.executable, "-c", _SAVES, str(tmp_path / "bundle"), str(steps)]
    assert subprocess.run(words, cwd=ROOT, check=False, timeout=120).returncode == -9
    assert load(tmp_path / "bundle").id == (old.id, new.id)[steps]
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".bundle.")]) == 1
    save(tmp_path / "bundle", parts(recipe(), weights(1, 2, seed=2)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "other"]
