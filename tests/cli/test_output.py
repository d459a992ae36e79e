from __future__ import annotations

import pytest

from insula.cli import output


def test_a_long_job_in_a_log_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("insula.cli.output.time.monotonic", lambda: next(clock))
    assert list(output.progress("abcde", "checking", 5)) == list("abcde")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["  checking: 2 of 5", "  checking: 4 of 5"]


def test_a_short_job_in_a_log_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(output.progress([1, 2], "checking")) == [1, 2]
    assert capsys.readouterr().err == ""
