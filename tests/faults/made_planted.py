"""Texts that would be a tag, a script, a formula, a header or a line of a log, wherever a person can write one."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, Final

import pydicom
from pydicom.uid import generate_uid
from sqlalchemy import insert
from tests.serve.api.made import PASSWORD, Made
from tests.serve.client import dicom
from tests.serve.dicomweb.made import workitem
from tests.serve.pacs.made_arrived import arrived

from insula.serve.store import schema
from insula.serve.store.connect import writing

MARK: Final = "xss-7q"
SHORT: Final = f"'\"><{MARK} a=1>"
_RUN: Final = f"<script>{MARK}()</script><img src=x onerror={MARK}()>"
LONG: Final = f"{SHORT}{_RUN}{{{{7*191}}}}${{7*191}}{{%x%}}javascript:{MARK}()"
FORMULAS: Final = ("=cmd|' /C calc'!A0", "+1+cmd", "-1+cmd", "@SUM(A1)", "\uff1d1", " =1")
_LINKS: Final = ("href", "src", "action", "formaction", "data", "poster", "xlink:href")


def plant(made: Made, scan: Sequence[bytes] = ()) -> dict[str, str]:
    """A case whose every text is such a one, and people, projects and arrivals of that name; its ids.

    scan: files of a series that the model takes, instead of two slices of noise.
    """
    slices = [named(one) for one in scan] or [dicom(number=n, name=SHORT, patient=SHORT) for n in (1, 2)]
    client, admin = made.client("reviewer"), made.client("admin")
    name = f"a/b\\{SHORT}.dcm"
    sent = [("files", (name, one, "text/html")) for one in slices]
    form = {"project": made.inside, "patient": SHORT, "patient_name": SHORT, "title": LONG[:200], "note": LONG}
    study = client.post("/api/v1/studies", data=form, files=sent)
    assert study.status_code == 201, study.text
    one = study.json()["id"]
    job = client.post(f"/api/v1/studies/{one}/predictions", json={}).json()["id"]
    while (found := client.get(f"/api/v1/jobs/{job}").json())["state"] in ("waiting", "running"):
        made.worked()  # unless the service has a worker of its own
    prediction = found["result"]["prediction"]
    target = client.get(f"/api/v1/predictions/{prediction}").json()["answer"]["target"]
    said = {"target": target, "verdict": "override", "label": "normal", "signature": SHORT, "comment": LONG}
    assert client.post(f"/api/v1/studies/{one}/reviews", json={**said, "prediction": prediction}).status_code == 201
    for path, body in (
        ("/api/v1/users", {"name": "planted", "role": "reader", "password": PASSWORD, "full_name": LONG[:200]}),
        ("/api/v1/projects", {"name": SHORT}),
        ("/api/v1/keys", {"name": SHORT, "scopes": ["study.read"], "days": 1}),
    ):
        assert admin.post(path, json=body).status_code == 201
    glass = {"reason": LONG}
    assert made.client("stranger").post(f"/api/v1/studies/{one}/glass", json=glass).status_code == 201
    item = json.dumps([workitem(t00100020={"vr": "LO", "Value": [SHORT]}, t00741204={"vr": "LO", "Value": [SHORT]})])
    headers = {"Content-Type": "application/dicom+json"}
    ordered = client.post(f"/dicom-web/workitems?workitem={generate_uid()}", content=item, headers=headers)
    assert ordered.status_code == 201, ordered.text
    with writing(made.service.records) as connection:
        told = {"code": "no_project", "message": LONG}
        more: dict[str, Any] = {"error": told, "description": SHORT, "source": SHORT}
        arrived(connection, "1.2.840.77", "failed", project_id=made.inside, **more)
        bundle = made.service.pool.all()[0].bundle.id
        connection.execute(insert(schema.alerts).values(kind="planted", bundle_id=bundle, message=LONG))
    return {"study_id": one, "prediction_id": prediction, "bundle_id": bundle}


def named(data: bytes) -> bytes:
    """An object with planted texts in its header."""
    one = pydicom.dcmread(io.BytesIO(data))
    one.PatientName = one.PatientID = one.StudyDescription = one.SeriesDescription = SHORT
    stream = io.BytesIO()
    one.save_as(stream)
    return stream.getvalue()


class _Strict(HTMLParser):
    """What is wrong with a page: a planted tag, a handler, a script of its own, a link that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Mapping[str, str] = {name: value or "" for name, value in attrs}
        if tag in (MARK, "img") and (tag == MARK or given.get("src") == "x"):
            self.wrong.append(f"the planted tag {tag}")
        for name, value in given.items():
            if name.startswith("on") or name in ("style", "srcdoc") or MARK in name:
                self.wrong.append(f"the attribute {name} of {tag}")
            if name in _LINKS and re.match(r"[\s\x00-\x1f]*(javascript|vbscript|data:text)", value, re.IGNORECASE):
                self.wrong.append(f"{name}={value[:40]} of {tag}")
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.wrong.append("a script in the page")
        self.data = given.get("type", "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self.data == "application/json":
            json.loads(data)

    def handle_endtag(self, tag: str) -> None:
        self.data = ""

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.wrong.append("a comment that holds a planted text")


def wrong_in(answer: Any) -> list[str]:
    """What is wrong with a page or with its headers."""
    strict = _Strict()
    strict.feed(answer.text)
    strict.close()
    found = list(strict.wrong)
    if "1337" in re.sub(r"[0-9a-f]{16,}", "", answer.text):
        found.append("a template in a text was worked out")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    if policy.get("default-src") != "'none'" or any("unsafe" in rule or "*" in rule for rule in policy.values()):
        found.append(f"the policy {policy}")
    return found + wrong_headers(answer)


def wrong_headers(answer: Any) -> list[str]:
    """What is wrong with an answer's headers, of whatever kind it is."""
    found = [f"the header {name}" for name, value in answer.headers.items()
             if "7q" in name or not value.isprintable() or not value.isascii()]  # fmt: skip
    if not answer.request.url.path.startswith("/assets/") and answer.headers.get("cache-control") != "no-store":
        found.append("an answer that a cache may keep")
    if answer.headers.get("x-content-type-options") != "nosniff":
        found.append("an answer whose kind a browser may guess")
    for cookie in answer.headers.get_list("set-cookie"):
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        if not {"httponly", "secure", "path=/"} <= parts or "samesite=strict" not in parts | {
            one.replace("lax", "strict") for one in parts
        }:
            found.append(f"the cookie {cookie.split('=')[0]}")
        if any(one.startswith("domain") for one in parts) or not cookie.startswith("__Host-"):
            found.append(f"the cookie {cookie.split('=')[0]} for other hosts")
    return found
