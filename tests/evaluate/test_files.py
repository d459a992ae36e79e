from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from tests.evaluate.scripted import case

from insula.core.types import Scan
from insula.evaluate import files


def test_every_file_is_hashed_once_and_a_missing_one_is_not_made_up(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(name.encode())
    two = replace(case("a", "p"), scans={"ct": Scan(("b.npz", "a.npz"), "npz")})
    gone = replace(case("g", "p"), scans={"ct": Scan(("a.npz", "gone.npz"), "npz")})
    found = files.hashes([two, gone], tmp_path)
    assert found == {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.npz", "b.npz")}
    assert files.of_case(two, found) == tuple(sorted(found.values()))
    assert files.of_case(gone, found) == ()
    assert files.of_case(replace(two, scans={}), found) == ()
