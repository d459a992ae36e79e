from __future__ import annotations

import errno
import json
from collections.abc import Callable

import click
import pytest

from insula.cli import info, main
from insula.core.errors import InsulaError, ScanError


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit code of `insula info` where it raises an error."""

    def run(error: BaseException, *options: str) -> int:
        def broken(**_: object) -> None:
            raise error

        monkeypatch.setattr(info.info, "callback", broken)
        monkeypatch.setattr("sys.argv", ["insula", "info", *options])
        with pytest.raises(SystemExit) as end:
            main.run()
        return int(end.value.code or 0)

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ScanError("'a.dcm' is empty; send it again."), ScanError.exit_code, "'a.dcm' is empty; send it again."),
        (OSError(errno.EACCES, "Permission denied", "/out"), InsulaError.exit_code, "'/out': Permission denied; check"),
        (OSError(errno.ENOSPC, "No space left on device"), InsulaError.exit_code, "No space left on device; check"),
        (click.Abort(), 130, "stopped."),
    ],
)
def test_an_error_is_one_sentence_with_an_exit_code(
    error: BaseException, code: int, said: str, ending: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error) == code
    out, err = capsys.readouterr()
    assert err.startswith(f"insula: {said}")
    assert err.count("\n") == 1
    assert out == ""


def test_an_error_under_json_is_json(ending: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(ScanError("'a.dcm' is empty."), "--json") == ScanError.exit_code
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": {"code": "unreadable_scan", "message": "'a.dcm' is empty."}}


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("no errno: not the user's to mend")

    monkeypatch.setattr(info.info, "callback", broken)
    monkeypatch.setattr("sys.argv", ["insula", "info"])
    with pytest.raises(OSError, match="no errno"):
        main.run()
