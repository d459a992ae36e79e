from __future__ import annotations

import errno
import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

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
    last = err.splitlines()[-1]
    assert err.count("\n") == (2 if isinstance(error, InsulaError | OSError) else 1)
    assert last.startswith("More: insula docs errors#") or isinstance(error, click.Abort)
    assert out == ""


def test_an_error_under_json_is_json(ending: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(ScanError("'a.dcm' is empty."), "--json") == ScanError.exit_code
    told = json.loads(capsys.readouterr().out)
    error = {"code": "unreadable_scan", "message": "'a.dcm' is empty.", "see": "errors#unreadable_scan"}
    assert told == {"error": error}


def test_a_verb_that_is_misspelt_is_told_which_may_be_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["insula", "predcit", "x"])
    with pytest.raises(SystemExit) as end:
        main.run()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert "There is no verb 'predcit'; is one of these meant: predict" in told
    assert told.endswith("More: insula docs errors#usage\n")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("trian", "train"),
        ("evalute", "evaluate"),
        ("Predict", "predict"),
        ("ev", "evaluate"),
        ("dashboard", "demo"),
        ("tests", "evaluate"),
    ],
)
def test_first_hour_a_wrong_verb_names_the_one_that_is_meant(word: str, meant: str) -> None:
    got = CliRunner().invoke(main.main, [word, "x"])
    assert got.exit_code == 2
    assert f"There is no verb '{word}'; is one of these meant: {meant}" in got.output


def test_first_hour_a_word_that_is_like_no_verb_leads_to_the_list_of_them() -> None:
    assert "There is no verb 'xyzzy'; insula --help lists them all." in CliRunner().invoke(main.main, ["xyzzy"]).output


def test_first_hour_what_other_tools_call_a_verb_leads_to_one() -> None:
    assert set(main._ALSO.values()) <= set(main.VERBS)
    assert not set(main._ALSO) & set(main.VERBS)


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("no errno: not the user's to mend")

    monkeypatch.setattr(info.info, "callback", broken)
    monkeypatch.setattr("sys.argv", ["insula", "info"])
    with pytest.raises(OSError, match="no errno"):
        main.run()
