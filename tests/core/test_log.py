import json

import pytest
import structlog

from insula.core import log


def test_logs_are_json_lines_and_pseudonyms_hide_the_identifier(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json_lines=True)
    log.get("test").info("read", case=log.pseudonym("Jane Doe"))
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "read"
    assert line["part"] == "test"
    assert "Jane" not in json.dumps(line)
    assert log.pseudonym("Jane Doe") == line["case"] != log.pseudonym("John Doe")


def test_standard_output_is_left_to_the_answer_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    log.get("test").warning("something happened")
    said = capsys.readouterr()
    assert said.out == ""
    assert "something happened" in said.err
