import errno
import fcntl
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insula.core.provenance import record, sha256_file, sha256_text, write_bytes, write_json


def test_file_hash_equals_hashlib(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()


def test_text_hash_sees_where_one_part_ends() -> None:
    assert sha256_text(["ab", "c"]) != sha256_text(["a", "bc"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError):
        write_bytes(path, "text")  # type: ignore[arg-type]
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_record_names_the_versions() -> None:
    facts = record(seed=3)
    assert facts["seed"] == 3
    assert "numpy" in facts["packages"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from insula.core import provenance
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
provenance.write_bytes(Path(sys.argv[1]), b"half")
"""


def test_what_a_kill_left_half_written_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False, timeout=60).returncode == -9
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    write_bytes(path, b"whole")
    assert [one.name for one in tmp_path.iterdir()] == ["metrics.json"]
    assert path.read_bytes() == b"whole"


def test_two_that_write_the_same_file_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x"
    contents = [bytes([k]) * 100_000 for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for content in contents * 10:
            pool.submit(write_bytes, path, content)
    assert path.read_bytes() in contents
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_where_no_file_can_be_locked_each_writer_has_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, contents = tmp_path / "x", [bytes([k]) * 300_000 for k in range(8)]
    monkeypatch.setattr(fcntl, "flock", made_failing)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_bytes, [path] * 80, contents * 10))
    assert path.read_bytes() in contents
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def made_failing(*_: object) -> None:
    raise OSError(errno.ENOLCK, "no locks here")
