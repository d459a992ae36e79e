import json
import logging
import warnings

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


def test_no_warning_of_the_dicom_reader_gets_to_standard_error() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        log.hush()
        for module in ("pydicom.charset", "insula.serve.pacs.heads"):
            warnings.warn_explicit("Invalid value 'Doe^Jane'", UserWarning, f"{module}.py", 1, module)
        warnings.warn_explicit("shown", UserWarning, "other.py", 1, "other")
    assert [str(one.message) for one in seen] == ["shown"]
    assert logging.getLogger("pydicom").handlers


@pytest.mark.parametrize("as_json", [True, False])
def test_what_a_peer_calls_itself_begins_no_line_and_colours_nothing(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    log.configure(json_lines=as_json)
    said = 'x\n2026-11-26 [info] granted user=admin\r\x1b[31m\u202eevil\u2028"}'
    log.get("test").warning("refused", caller=said, places=[said], more={said: said})
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert shown.isascii()
    assert all(c.isprintable() for c in shown.removesuffix("\n"))
    if as_json:
        assert json.loads(shown)["caller"].startswith("x\\n2026")


def test_what_other_packages_log_is_a_line_without_what_they_met(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(json_lines=True)
    log.configure(json_lines=True)  # twice is as once
    logging.getLogger("asyncio").warning("Refused %s\nof Doe", "Jane")
    try:
        raise ValueError("Jane Doe")
    except ValueError:
        logging.getLogger("some_parser.part").exception("Expected a, got Doe")
    quiet = logging.getLogger("quiet_package")
    quiet.addHandler(logging.NullHandler())
    quiet.warning("Jane Doe")
    logging.getLogger("some_parser").info("Jane Doe")
    said = capsys.readouterr().err
    first, second = (json.loads(line) for line in said.splitlines())
    assert (first["event"], first["logger"], first["said"]) == ("library", "asyncio", "Refused %s")
    assert (second["level"], second["logger"], second["kind"]) == ("error", "some_parser.part", "ValueError")
    assert second["at"].startswith("test_log.py:")
    assert "Doe" not in said
    assert "Jane" not in said
