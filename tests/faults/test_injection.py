"""What people, files and peers write is text on every page, in every header, table and log, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from fastapi.routing import APIRoute
from tests.faults.made_asked import asked
from tests.faults.made_planted import FORMULAS, LONG, MARK, SHORT, plant, wrong_headers, wrong_in
from tests.faults.made_rooms import Rooms
from tests.faults.tally import Tally, sizes

from insula.cohort import leak_page, table
from insula.core import log
from insula.core.types import Case, Cohort, Scan
from insula.serve.api.guard import permission_of
from insula.serve.people.roles import GRANTED, ROLES
from insula.workflows import staged_log

pytestmark = pytest.mark.serve
PAGE = {"Accept": "text/html"}
SHOWING = ("/worklist", "/studies/{study_id}")  # in each form, since every text stands there


@pytest.fixture(scope="module")
def planted(rooms: Rooms) -> dict[str, str]:
    """The ids of a case that is full of such texts."""
    return {**rooms.ours, **plant(rooms.made)}


def gets(rooms: Rooms, role: Any) -> Iterator[APIRoute]:
    """What a role may read, and what anybody may."""
    for route in rooms.routes:
        needs: Any = permission_of(route)
        stream = route.path.endswith("/events")
        if route.methods == {"GET"} and (needs in GRANTED[role] or needs in ("self", "open")) and not stream:
            yield route


@sizes("share", 0.03, 1.0)
def test_no_text_becomes_a_tag_or_a_script(rooms: Rooms, planted: dict[str, str], tally: Tally, share: float) -> None:
    rng, tried, wrong, shown = random.Random(10), 0, [], 0
    for role in ROLES:
        client = rooms.made.client(role)
        for route in gets(rooms, role):
            plain = asked(rooms, route, planted, planted)
            queries: list[dict[str, str]] = [{}, *({p.alias: LONG} for p in route.dependant.query_params)]
            for query in queries:
                if (query or route.path not in SHOWING) and rng.random() > share:
                    continue
                answer = client.get(plain.path, params=query, headers=PAGE, follow_redirects=False)
                found = wrong_headers(answer)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    found, shown = wrong_in(answer), shown + (MARK in answer.text)
                elif MARK in answer.text and "html" in answer.headers.get("content-type", ""):
                    found.append("a planted text in what a browser takes for a page")
                tried += 1
                wrong += [(role, plain.path, query, found)] if found else []
    for path in (f"/{quote(LONG)}", f"/documents/{quote(SHORT)}", f"/login?next={quote(LONG)}&why={quote(LONG)}",
                 f"/studies/{quote(SHORT)}", f"/reference?q={quote(LONG)}", f"/models/{quote(SHORT)}"):  # fmt: skip
        found = wrong_in(rooms.made.client("admin").get(path, headers=PAGE))
        tried += 1
        wrong += [("admin", path, {}, found)] if found else []
    report = rooms.made.client("reader").get(f"/api/v1/predictions/{planted['prediction_id']}/report?format=html")
    wrong += [("reader", "report", {}, wrong_in(report))] if wrong_in(report) else []
    assert not wrong, wrong[:4]
    assert shown >= 6, "the texts do stand on the pages"
    tally.tried("a page or answer with planted tags, scripts and templates in every text", tried + 1)


@sizes("step", 2, 1)
def test_no_table_holds_a_formula(rooms: Rooms, tmp_path: Path, tally: Tally, step: int) -> None:
    client = rooms.made.client("reviewer")
    for text in FORMULAS[::step]:
        rooms.made.predicted(patient=text.strip(), patient_name=text, title=text)
    texts = {"history.csv": client.get("/history.csv").text}
    trail = rooms.made.client("admin").get("/api/v1/trail/export", params={"format": "csv"})
    texts["trail.csv"] = trail.text
    pairs = [SimpleNamespace(kind=t, first=t, second=t, splits=(t, t), labels=(t, t), likeness=1.0, crosses=True,
                             clash=False, evidence=t) for t in FORMULAS]  # fmt: skip
    texts["pairs.csv"] = leak_page.table(SimpleNamespace(pairs=pairs))  # type: ignore[arg-type]
    frame = pd.DataFrame({"patient": list(FORMULAS), "=share": [-0.5] * len(FORMULAS)})
    texts["patients.csv"] = staged_log.write(frame, tmp_path)[0].read_text(encoding="utf-8")
    cases = tuple(Case(t, t, {"scan": Scan((f"{n}.dcm",), "dicom")}, {}) for n, t in enumerate(FORMULAS))
    table.save(Cohort(cases, str(tmp_path)), tmp_path / "cohort.csv")
    texts["cohort.csv"] = (tmp_path / "cohort.csv").read_text(encoding="utf-8")
    assert [case.key for case in table.load(tmp_path / "cohort.csv").cases] == list(FORMULAS), "read back as it was"
    seen = 0
    for name, text in texts.items():
        for cell in (cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line):
            seen += any(one.strip() in cell for one in FORMULAS)
            number = cell.lstrip("+-").replace(".", "").isdecimal()
            assert number or not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝")), (name, cell)
    assert seen >= 20, "the formulas do stand in the tables"
    tally.tried("a formula in a text, in each table that people open in a spreadsheet", len(FORMULAS) * len(texts))


@pytest.mark.parametrize("as_json", [True, False])
@sizes("rounds", 1, 20)
def test_no_line_of_the_log_is_written_from_outside(
    rooms: Rooms, tally: Tally, capsys: pytest.CaptureFixture[str], as_json: bool, rounds: int
) -> None:
    log.configure(json_lines=as_json)
    evil = 'x\n{"event": "forged", "level": "info"}\r\x1b[2J\u202e\u2028\x85'
    client, tried = rooms.made.fresh(), 0
    try:
        for method in ("GET", "POST", "BREW") * rounds:
            for path in ("/", "/api/v1/studies/", "/login?next=", "/models/"):
                for headers in ({}, {"User-Agent": repr(evil)}, {"X-API-Key": f"ins_{quote(evil)}"}):
                    client.request(method, path + quote(evil), headers=headers)
                    tried += 1
        client.post("/api/v1/session", json={"name": evil, "password": evil})
        for name in ("people", "pacs", "serve"):
            log.get(name).warning("refused", caller=evil, why=evil, more={evil: [evil]})
    finally:
        said = capsys.readouterr().err
        log.configure(level="CRITICAL")
    lines = said.removesuffix("\n").split("\n")
    assert len(lines) >= tried
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith(('{"event": "forged"', "x")) for line in lines)
    if as_json:
        assert all(json.loads(line)["event"] != "forged" for line in lines)
    tally.tried(f"a line of its own put into the log ({'JSON' if as_json else 'text'})", tried + 4)
