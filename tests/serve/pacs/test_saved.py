"""What a peer sends, as files."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.serve.pacs.made_peers import scan

from insula.serve.pacs.received import RefusedInstanceError
from insula.serve.pacs.saved import save


def test_an_object_lies_under_its_uid_for_its_owner_alone(tmp_path: Path) -> None:
    data = scan(SOPInstanceUID="1.2.3.9")
    path = save(tmp_path / "new" / "folder", data)
    assert path == tmp_path / "new" / "folder" / "1.2.3.9.dcm"
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o077 == 0
    assert save(tmp_path / "new" / "folder", data) == path
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("name", ["../../x", "1.2/../../x", "x", "1..2", "1.2 3"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    one = dcmread(BytesIO(scan(SOPInstanceUID="1" * len(name))))
    data = BytesIO()
    one.save_as(data, enforce_file_format=True)
    hostile = data.getvalue().replace(b"1" * len(name), name.encode())
    with pytest.raises(RefusedInstanceError):
        save(tmp_path / "in", hostile)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("data", [b"", b"no", bytes(128) + b"DICM" + b"\xff" * 100])
def test_what_is_no_object_leaves_nothing(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(RefusedInstanceError):
        save(tmp_path, data)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_an_object_goes_when_it_comes_again(tmp_path: Path) -> None:
    """Each object that was being written lay under another hidden name, and stayed for ever."""
    code = "import os, signal, sys, pathlib\nfrom insula.serve.pacs import saved\n"
    code += "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
    code += "saved.save(pathlib.Path(sys.argv[1]), sys.stdin.buffer.read())\n"
    data, env = scan(SOPInstanceUID="1.2.3.9"), os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "in")]
    assert subprocess.run(command, input=data, env=env, check=False, timeout=120).returncode == -9
    assert [path.suffix for path in (tmp_path / "in").iterdir()] == [".part"]
    assert save(tmp_path / "in", data).read_bytes() == data
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["1.2.3.9.dcm"]
