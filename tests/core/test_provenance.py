import hashlib
import json
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
