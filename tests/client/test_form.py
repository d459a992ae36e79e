from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from insula.client.form import Form, files_of
from insula.core.errors import ScanError

pytestmark = pytest.mark.serve


async def _echo(request: Request) -> JSONResponse:
    found = []
    async with request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                found.append([name, value.filename, (await value.read()).hex()])
            else:
                found.append([name, value])
    return JSONResponse(found)


def parsed(form: Form) -> list[list[str]]:
    """The form as a server of another make reads it."""
    with TestClient(Starlette(routes=[Route("/", _echo, methods=["POST"])])) as client:
        headers = {"Content-Type": form.content_type}
        found: list[list[str]] = client.post("/", content=b"".join(form.blocks()), headers=headers).json()
    return found


def test_a_server_reads_what_was_meant(tmp_path: Path) -> None:
    odd = tmp_path / 'İğdır "x"\n王.dcm'
    odd.write_bytes(b"\r\n--\0\xff")
    empty = tmp_path / "empty"
    empty.touch()
    form = Form({"project": "a", "note": "zwei\r\nZeilen ä"}, [("ct", odd), ("ct", empty), ("mri", odd)])
    found = parsed(form)
    assert found[:2] == [["project", "a"], ["note", "zwei\r\nZeilen ä"]]
    assert [(name, data) for name, _, data in found[2:]] == [
        ("ct", b"\r\n--\0\xff".hex()),
        ("ct", ""),
        ("mri", b"\r\n--\0\xff".hex()),
    ]
    assert found[2][1].startswith("İğdır ")


def test_the_length_is_exact_and_the_same_bytes_come_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 600_000)
    told: list[tuple[int, int]] = []
    form = Form({"x": "y"}, [("files", tmp_path / "a")], lambda sent, whole: told.append((sent, whole)))
    first = b"".join(form.blocks())
    assert len(first) == form.length
    assert told[-1] == (form.length, form.length)
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)
    assert b"".join(form.blocks()) == first


def test_no_block_is_a_whole_file_and_one_file_is_open_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 1_000_000)
    opened: list[Any] = []
    real: Any = Path.open

    def counted(self: Path, *args: Any, **options: Any) -> Any:
        assert all(one.closed for one in opened)
        opened.append(real(self, *args, **options))
        return opened[-1]

    form = Form({}, [("files", one) for one in files_of(tmp_path)])
    monkeypatch.setattr(Path, "open", counted)
    assert max(len(block) for block in form.blocks()) < 300_000
    assert len(opened) == 3


@pytest.mark.parametrize("after", [b"", b"x", b"longer than it was"])
def test_a_file_that_changes_while_it_is_sent_is_refused(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"four")
    form = Form({}, [("files", path)])
    path.write_bytes(after)
    with pytest.raises(ScanError, match="changed"):
        list(form.blocks())


def test_files_below_folders_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/1", ".git/x", "b/.DS_Store"):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).write_bytes(b"x")
    found = files_of([tmp_path / "s" / "b" / "2", tmp_path / "s"])
    assert [p.relative_to(tmp_path / "s").as_posix() for p in found] == ["b/2", "a/1", "b/1", "b/2"]
    assert files_of(str(tmp_path / "s" / "a")) == [tmp_path / "s" / "a" / "1"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="nowhere"):
        files_of(tmp_path / "nowhere")
    with pytest.raises(ScanError, match=str(tmp_path)):
        files_of(tmp_path)
    with pytest.raises(ScanError, match="name a scan"):
        files_of([])
