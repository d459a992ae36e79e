from __future__ import annotations

import sys
from pathlib import Path

import pytest

from insula.serve.store import write_back


@pytest.mark.parametrize("known", [True, False])
def test_it_changes_nothing_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    if not known:
        monkeypatch.setattr(write_back, "_CALL", None)
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as stream:
        stream.write(b"abc")
        write_back.begin(stream.fileno(), 0, 3)
        write_back.begin(stream.fileno(), 1 << 40, 3)  # beyond its end
    assert path.read_bytes() == b"abc"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the call")
def test_on_linux_the_call_is_found() -> None:
    assert write_back._CALL is not None
