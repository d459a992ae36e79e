"""Everything of Insula that asks another machine by HTTP, each as a function of that machine's address."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest
from tests.serve.monitor.made_records import START
from tests.serve.narrative.made_record import full

from insula.client import Client
from insula.core.errors import InsulaError
from insula.report.case.hl7 import Order
from insula.serve.monitor import webhook
from insula.serve.monitor.alerts import Alert
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.narrative.model import Endpoint
from insula.serve.narrative.summary import summarise
from insula.serve.pacs import fhir_out, orthanc, ups_web, web, web_client
from insula.serve.pacs.outcome import Ready
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import Query
from insula.serve.pacs.settings import PacsSettings
from insula.serve.people import fetch

Caller = Callable[[int, Path], object]
SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ALERT: Final = Alert(3, "a" * 32, "queue_full", "", "3 requests were turned away.", {"refused": 3}, START, None, None)
SHORT: Final = 1.0  # seconds that a whole request may take in these tests
_SETTINGS: Final = PacsSettings(max_instance_mb=1)


def alert_settings(url: str, hosts: str = "127.0.0.1") -> MonitorSettings:
    """Settings that send alerts to an address."""
    return MonitorSettings(alert_url=cast(Any, url), alert_hosts=hosts, alert_secret=cast(Any, SECRET))


def _peer(port: int) -> Peer:
    return Peer("archive", "web", False, "127.0.0.1", port, path="/dicom-web")


def _alert(port: int, folder: Path) -> None:
    webhook.send(ALERT, alert_settings(f"http://127.0.0.1:{port}/"), START)


def _described(port: int, folder: Path) -> object:
    return fetch.fetch_json(f"http://127.0.0.1:{port}/.well-known/openid-configuration")


def _tokens(port: int, folder: Path) -> object:
    return fetch.fetch_json(f"http://127.0.0.1:{port}/token", {"code": "c0de", "code_verifier": "v"}, ("insula", "s"))


def _phrased(port: int, folder: Path) -> object:
    told = summarise(full(), "en", Endpoint(f"http://127.0.0.1:{port}/v1", "made-model", "", SHORT))
    assert told.source == "template"
    assert told.text == summarise(full()).text
    return told


def _searched(port: int, folder: Path) -> object:
    return web_client.find(_SETTINGS, _peer(port), Query(limit=5))


def _fetched(port: int, folder: Path) -> object:
    return web_client.get(_SETTINGS, _peer(port), "1.2.3", lambda data: None)


def _stored(port: int, folder: Path) -> object:
    path = folder / "one.dcm"
    path.write_bytes(bytes(3000))
    done = web_client.store(_SETTINGS, _peer(port), [Ready(path, "1.2.3", "1.2", "1.2.3.4", "1.2.840.10008.1.2")])
    assert all(one.status != 0 for one in done), "taken for stored"
    return done


def _worklist(port: int, folder: Path) -> object:
    return ups_web.search(_SETTINGS, _peer(port))


def _claimed(port: int, folder: Path) -> object:
    return ups_web.claim(_SETTINGS, _peer(port), "1.2.3", "1.2.3.9")


def _watched(port: int, folder: Path) -> object:
    with orthanc.reached(_SETTINGS, _peer(port)) as found:
        return found.since(0)


def _fhir(port: int, folder: Path) -> None:
    peer = Peer("ehr", "fhir", False, "127.0.0.1", port, path="/fhir")
    resource = {"resourceType": "DiagnosticReport", "identifier": [{"system": "urn:x", "value": "1"}]}
    fhir_out.deliver(_SETTINGS, peer, resource, Order("1.2", "P-1"))


def _remote(port: int, folder: Path) -> object:
    with Client(f"http://127.0.0.1:{port}", "k", timeout=SHORT, tries=1) as client:
        return list(client.projects())


# a person's own command beside those of the service and the node: it is ended by hand
COMMAND: Final[dict[str, Caller]] = {"the client": _remote}
SERVICE: Final[dict[str, Caller]] = {
    "alerts": _alert,
    "an issuer's description": _described,
    "an issuer's tokens": _tokens,
    "the language model": _phrased,
    "a DICOMweb search": _searched,
    "a DICOMweb study": _fetched,
    "a DICOMweb store": _stored,
    "a worklist": _worklist,
    "a work item": _claimed,
    "an Orthanc's changes": _watched,
    "a FHIR report": _fhir,
}


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request's whole time be SHORT, so that nobody waits for minutes."""
    monkeypatch.setattr(webhook, "SECONDS", SHORT)
    monkeypatch.setattr(fetch, "SECONDS_IN_ALL", SHORT)
    monkeypatch.setattr(web, "_SECONDS", SHORT / 2)
    monkeypatch.setattr(web_client, "PATIENCE", 1.0)


def outcome(call: Caller, port: int, folder: Path) -> str:
    """How asking ended: `answer`, the name of a typed error, or `!` and the name of any other."""
    try:
        call(port, folder)
    except InsulaError as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001 - what should not come is what is looked for
        return f"!{type(error).__name__}: {error}"
    return "answer"
