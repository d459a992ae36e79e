from __future__ import annotations

import importlib
import json
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr
from tests.serve.narrative import stub
from tests.serve.narrative.made_record import full
from tests.serve.narrative.stub import Turn, serving

from insula.core.errors import MissingPartError, UsageError
from insula.serve.narrative import model
from insula.serve.narrative.facts import facts_of, template_summary
from insula.serve.narrative.summary import RULES, Summary, summarise, what_is_sent
from insula.serve.settings import Settings

pytestmark = pytest.mark.serve
RECORD = full()


def told(turn: stub.Model, timeout: float = 60.0) -> tuple[Summary, list[dict[str, Any]]]:
    with serving(turn) as server:
        summary = summarise(RECORD, "en", server.endpoint(timeout))
    return summary, [json.loads(body) for body in server.bodies]


def by_template(summary: Summary, reason: str) -> bool:
    return (summary.text, summary.source, summary.reason) == (template_summary(RECORD), "template", reason)


def test_a_model_that_phrases_the_facts_is_heard() -> None:
    summary, asked = told(stub.good)
    assert (summary.source, summary.reason) == ("model", "")
    assert "The answer of the model is 'malignant', and The confidence in this answer is 0.62 (62%). " in summary.text
    assert "The probability of 'malignant' is 0.62 (62%)" in summary.text
    assert set(summary.facts) == {f.number for f in facts_of(RECORD).all if f.must}
    assert summary.text.startswith(f"The question put to the model: {RECORD.question}")
    assert summary.text.endswith("Research use only; this text is no diagnosis.")
    assert [one["response_format"]["type"] for one in asked] == ["json_schema"]


def test_what_is_sent_is_the_rules_and_the_masked_facts() -> None:
    _, [asked] = told(stub.good)
    assert [one["role"] for one in asked["messages"]] == ["system", "user"]
    assert asked["messages"][0]["content"] == RULES
    assert stub.data(asked) == json.loads(json.dumps(what_is_sent(facts_of(RECORD))))
    assert set(asked) == {"model", "messages", "response_format"}
    assert asked["response_format"]["json_schema"]["strict"] is True
    whole = json.dumps(asked)
    held = [*RECORD.classes, RECORD.bundle_id, RECORD.model_name, RECORD.question, "mri", "stage", *RECORD.notes]
    assert [name for name in held if name in whole] == []


def test_the_turkish_summary_is_phrased_as_well() -> None:
    with serving(stub.good) as server:
        summary = summarise(RECORD, "tr", server.endpoint())
    assert (summary.source, summary.language) == ("model", "tr")
    assert "0,62 (%62)" in summary.text


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_server_without_schemas_is_asked_for_any_json(status: int) -> None:
    def turn(request: dict[str, Any]) -> Turn:
        wanted = request["response_format"]["type"]
        return Turn(b'{"error": {"message": "unknown"}}', status) if wanted == "json_schema" else stub.good(request)

    summary, asked = told(turn)
    assert summary.source == "model"
    assert [one["response_format"]["type"] for one in asked] == ["json_schema", "json_object"]
    assert "json_schema" not in asked[1]["response_format"]


@pytest.mark.parametrize(
    ("turn", "tries"),
    [
        (stub.says("not JSON at all"), 2),
        (stub.says('{"sentences": [{"text": "cut off'), 2),
        (stub.says({"sentences": []}), 2),
        (stub.says({"sentences": [{"text": "Hello.", "facts": ["2"]}]}), 2),
        (stub.says({"sentences": [{"text": "Hello.", "facts": [2]}], "comment": "as you wish"}), 2),
        (stub.says({"sentences": [{"text": "a" * 401, "facts": [2]}]}), 2),
        (stub.says("[" * 5000), 2),
        (stub.says({"sentences": [{"text": "Hello.", "facts": [2]}]}, finish="length"), 2),
        (stub.says(None, refusal="I would rather not"), 2),
        (Turn(b"<html>gateway</html>"), 2),
        (Turn(b""), 2),
        (Turn(b'{"choices": []}'), 2),
        (Turn(b"\xff\xfe\x00"), 2),
    ],
)
def test_an_answer_of_another_shape_is_tried_twice_and_then_not_heard(turn: Turn, tries: int) -> None:
    summary, asked = told(lambda _: turn)
    assert by_template(summary, "not_json")
    assert len(asked) == tries


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 429, 500, 503])
def test_any_other_status_ends_the_tries_and_no_redirect_is_followed(status: int) -> None:
    with serving(stub.good) as other:
        summary, asked = told(lambda _: Turn(b"{}", status, {"Location": f"{other.url}/chat/completions"}))
    assert by_template(summary, "status")
    assert len(asked) == 1
    assert other.bodies == []


def test_a_body_without_end_is_cut_off() -> None:
    summary, asked = told(lambda _: stub.says("x" * (model.MOST_BYTES + 1)))
    assert by_template(summary, "too_long")
    assert len(asked) == 1
    summary, asked = told(lambda _: Turn(b"x" * (64 << 20), 500))
    assert by_template(summary, "status")


def test_a_packed_body_is_refused_unread() -> None:
    summary, _ = told(lambda r: Turn(stub.good(r).body, headers={"Content-Encoding": "gzip"}))
    assert by_template(summary, "status")


@pytest.mark.parametrize("slow", ["json_schema", "json_object"])
def test_a_slow_model_is_not_waited_for_on_any_rung(slow: str) -> None:
    hold = threading.Event()

    def turn(request: dict[str, Any]) -> Turn:
        wanted = request["response_format"]["type"]
        return Turn(stub.good(request).body, hold=hold) if wanted == slow else Turn(b"{}", 400)

    try:
        summary, _ = told(turn, timeout=1.0)
        assert by_template(summary, "timeout")
    finally:
        hold.set()


def test_a_connection_that_breaks_off_is_unreachable() -> None:
    summary, asked = told(lambda r: Turn(stub.good(r).body, headers={"Content-Length": "999999"}))
    assert by_template(summary, "unreachable")
    assert len(asked) == 1


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with serving(stub.good) as server:
        endpoint = server.endpoint()
    assert by_template(summarise(RECORD, "en", endpoint), "unreachable")


def test_the_key_goes_to_the_server_alone_and_without_one_there_is_no_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-service")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    with serving(stub.good) as server:
        for key in ("", "secret-of-this-one"):
            assert summarise(RECORD, "en", server.endpoint(key=key)).source == "model"
    without, with_key = server.headers
    assert "authorization" not in without
    assert with_key["authorization"] == "Bearer secret-of-this-one"
    assert "of-another-service" not in json.dumps(server.headers)
    assert "secret-of-this-one" not in repr(server.endpoint(key="secret-of-this-one"))


def settings(**given: Any) -> Settings:
    return Settings(**given)


def test_no_model_is_asked_unless_the_settings_name_one() -> None:
    assert model.endpoint_of(settings()) is None
    assert summarise(RECORD).reason == "off"


@pytest.mark.parametrize(
    "given",
    [
        {"summary_url": "https://host/v1"},
        {"summary_model": "m"},
        {"summary_url": "ftp://host/v1", "summary_model": "m"},
        {"summary_url": "host/v1", "summary_model": "m"},
        {"summary_url": "http://[::1", "summary_model": "m"},
        {"summary_url": "https://user:word@host/v1", "summary_model": "m"},
        {"summary_url": "http://host/v1", "summary_model": "m", "summary_key": SecretStr("k")},
    ],
)
def test_settings_that_do_not_fit_together_are_refused_without_telling_them(given: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError, match="INSULA_SUMMARY_") as refused:
        model.endpoint_of(settings(**given))
    assert "word" not in str(refused.value)


def test_settings_make_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_SUMMARY_URL", "https://host/v1")
    monkeypatch.setenv("INSULA_SUMMARY_MODEL", "m")
    monkeypatch.setenv("INSULA_SUMMARY_KEY", "k")
    monkeypatch.setenv("INSULA_SUMMARY_TIMEOUT", "7.5")
    assert model.endpoint_of(settings()) == model.Endpoint("https://host/v1", "m", "k", 7.5)
    plain = {"summary_url": "http://127.0.0.1:11434/v1", "summary_model": "m", "summary_key": SecretStr("k")}
    assert model.endpoint_of(settings(**plain)) is not None


def test_without_the_package_a_model_is_a_missing_part_and_a_template_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "openai":
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(importlib, "import_module", without)
    assert summarise(RECORD).source == "template"
    with pytest.raises(MissingPartError, match="summary"):
        model.endpoint_of(settings(summary_url="https://host/v1", summary_model="m"))
    with pytest.raises(MissingPartError):
        summarise(RECORD, "en", model.Endpoint("https://host/v1", "m"))


def test_a_name_that_is_looked_up_for_ever_holds_no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def resolver(*asked: Any, **more: Any) -> list[Any]:
        over.wait(60)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    try:
        told = summarise(RECORD, "en", model.Endpoint("http://slow.example/v1", "m", "", 0.2))
        assert (told.source, told.reason) == ("template", "timeout")
        assert not over.is_set()
    finally:
        over.set()
