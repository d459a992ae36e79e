"""Whom a scan is of stands nowhere but where it belongs: looked for byte by byte in all that is written beside it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.faults.made_canaries import FILE, NAME, NOTE, PATIENT, STUDY, TITLE, hidden_in, planted, values_of
from tests.faults.made_watched import Watched, watching
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import Made, service
from tests.serve.narrative.stub import Stub, good, serving
from tests.serve.pacs.made_peers import Answer, Said, web
from tests.tiny_bundle import make

from insula.cli.deidentify import deidentify

pytestmark = pytest.mark.serve
SLICES = (1, 2)
_SENT = ("Plantedfile", "Zoë", "Planted")


def scans() -> tuple[list[bytes], dict[str, bytes]]:
    """The slices of a study, and all that is planted in them."""
    made = [planted(number) for number in SLICES]
    return [data for data, _ in made], values_of(*(known for _, known in made))


def bad_files(good_one: bytes) -> dict[str, bytes]:
    """Files that no reader takes, and that tell of somebody in many ways."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{FILE}/{NAME}.txt", NOTE)
    return {
        f"{FILE}.txt": f"{NAME} {PATIENT} {NOTE}".encode(),
        f"../{FILE}.dcm": good_one[: len(good_one) // 2],
        f"{FILE}.png": b"\x89PNG\r\n\x1a\n" + NOTE.encode(),
        f"{FILE}.zip": packed.getvalue(),
        f"{PATIENT}.nii": NAME.encode() * 40,
        f"{NAME}.npz": packed.getvalue()[:50],
        f"{FILE}.json": json.dumps({"name": NAME}).encode(),
    }


def upload(made: Made, files: dict[str, bytes] | list[bytes], **form: str) -> Any:
    named = files if isinstance(files, dict) else {f"{FILE} {n}.dcm": data for n, data in enumerate(files)}
    sent = [("files", (name, data, "application/octet-stream")) for name, data in named.items()]
    fields = {"project": made.inside, "patient": PATIENT, "title": TITLE, "note": NOTE, **form}
    return made.client("reviewer").post("/api/v1/studies", data=fields, files=sent)


def used(made: Made, data: list[bytes], found: Watched, whole: bool) -> int:
    """Everything that people do with a study, well and wrongly; how many requests. whole: every form and page, too."""
    client, requests = made.client("reviewer"), 0
    answer = upload(made, data)
    assert answer.status_code == 201, answer.text
    study = answer.json()["id"]
    job = client.post(f"/api/v1/studies/{study}/predictions", json={}).json()
    made.worked()
    prediction = client.get(f"/api/v1/jobs/{job['id']}").json()["result"]["prediction"]
    review = {"target": "stroke", "verdict": "agree", "signature": NAME, "prediction": prediction, "comment": NOTE}
    told = client.post(f"/api/v1/studies/{study}/reviews", json=review)
    for form in ("json", "html", "fhir", "hl7", "pdf")[: 9 if whole else 1]:
        client.get(f"/api/v1/predictions/{prediction}/report", params={"format": form})
        requests += 1
    for page in ("/", f"/cases/{study}", "/worklist", "/queue", "/history", "/monitoring")[: 9 if whole else 2]:
        client.get(page, params={"search": NAME, "patient": PATIENT})
        requests += 1
    found.keep("metrics", made.client("admin").get("/metrics").content)
    searched = client.get("/api/v1/pacs/peers/archive/studies", params={"patient_id": PATIENT, "patient_name": NAME})
    assert searched.json()["studies"][0]["patient_name"] == NAME
    client.get("/pacs", params={"peer": "archive", "patient_name": NAME})
    bad = list(bad_files(data[0]).items())[: 99 if whole else 3]
    wrong: list[Any] = [upload(made, {name: content}) for name, content in bad]
    wrong += [
        upload(made, data, project=PATIENT),
        upload(made, data, patient=f"{PATIENT}\n{NAME}" * 40),
        client.get(f"/api/v1/studies/{PATIENT}"),
        client.get(f"/api/v1/studies/{NAME}/reviews"),
        client.get("/api/v1/studies", params={"patient": NAME, "after": NOTE, "limit": PATIENT}),
        client.get(f"/cases/{NAME}"),
        client.get(f"/{FILE}/{PATIENT}"),
        client.post(f"/api/v1/studies/{study}/predictions", json={"model": PATIENT, NAME: NOTE}),
        client.post(f"/api/v1/studies/{study}/reviews", json={**review, "verdict": NAME, "comment": [NOTE]}),
        client.post(f"/api/v1/studies/{study}/reviews", content=f'{{"comment": "{NOTE}'.encode()),
        client.patch(f"/api/v1/studies/{study}", json={"note": NOTE}, headers={"If-Match": PATIENT}),
        client.get(f"/dicom-web/studies/{PATIENT}/series"),
        client.get("/dicom-web/studies", params={"PatientID": PATIENT, "PatientName": NAME, "limit": NAME}),
        client.get("/api/v1/pacs/peers/none/studies", params={"patient_id": PATIENT, "patient_name": NAME}),
        client.get("/api/v1/pacs/peers/liar/studies", params={"patient_id": PATIENT, "patient_name": NAME}),
        client.post("/predict", files={"file": (f"{FILE}.dcm", b"DICM" + NAME.encode())}),
        client.post("/batch_predict", files=[("files", (f"{FILE}.dcm", data[0][:200]))]),
        made.fresh().post("/api/v1/session", json={"name": NAME, "password": NOTE}),
    ]
    for one in wrong:
        if one.status_code >= 400:
            found.keep("error answers", str(dict(one.headers)) + one.text)
    refused = [one for one in wrong if one.status_code >= 400]
    assert len(refused) > len(wrong) - 4, [(one.request.url.path, one.status_code) for one in wrong]
    assert not [one for one in wrong if one.status_code >= 500 and one.status_code not in (502, 503)]
    assert told.status_code in (201, 422)
    found.keep("metrics", made.client("admin").get("/metrics").content)
    return requests + len(wrong) + 5


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    with watching(monkeypatch, tmp_path / "temporary", json_lines=bool(getattr(request, "param", True))) as found:
        yield found


@sizes("rounds", 1, 4)
def test_nobody_stands_in_logs_metrics_traces_prompts_or_errors(
    rounds: int,
    tally: Tally,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for json_lines in (True, False)[: 2 if rounds > 1 else 1]:
        folder = tmp_path / f"json-{json_lines}"
        folder.mkdir()
        _looked_for(rounds, json_lines, tally, folder, monkeypatch, capfd)


def _looked_for(
    rounds: int,
    json_lines: bool,
    tally: Tally,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data, values = scans()
    requests = 0
    with (
        serving(good) as stub,
        web(found_study) as (archive, _),
        web(lambda said: Answer(500, f"{NAME} {PATIENT}".encode(), {"X-Patient": PATIENT})) as (liar, _),
        watching(monkeypatch, tmp_path / "temporary", json_lines) as found,
    ):
        monkeypatch.setenv("INSULA_PACS_PEERS", f"archive={archive}, liar={liar}")
        bundle = make(tmp_path, unit="series")
        more = {"summary_url": stub.url, "summary_model": "made-model"}
        with service(bundle, f"sqlite:///{tmp_path}/insula.db", tmp_path, **more) as made:
            for _ in range(rounds):
                requests += used(made, data, found, whole=rounds > 1)
        prompts(stub, found)
        left = found.left_behind()
    out = capfd.readouterr()
    found.keep("standard output and error", out.out + out.err)
    whole = {where: b"\n".join(parts) for where, parts in found.kept.items()}
    assert {"logs", "traces", "metrics", "prompts", "error answers"} <= set(whole)
    assert len(whole["logs"]) > 1000
    # a refusal may repeat to a sender the name of the file that he sent; nothing that stands in a file or a text
    inside = {name: value for name, value in values.items() if value.decode() not in (NAME, PATIENT, *_SENT)}
    hidden = {
        where: sorted(names)[:9]
        for where, data in whole.items()
        if (names := hidden_in(data, inside if where == "error answers" else values))
    }
    assert not hidden, hidden
    assert left == []
    size = sum(map(len, whole.values()))
    figures = {"values": len(values), "bytes searched": size}
    words = "in JSON" if json_lines else "as text"
    what = f"requests about planted patients: logs ({words}), metrics, traces, prompts, errors, temporary files"
    tally.tried(what, requests, figures=figures)


def found_study(said: Said) -> Answer:
    """An archive that has the patient's study."""
    texts = {"0020000D": ("UI", STUDY), "00100020": ("LO", PATIENT), "00081030": ("LO", TITLE)}
    row: dict[str, Any] = {tag: {"vr": vr, "Value": [text]} for tag, (vr, text) in texts.items()}
    row["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": NAME}]}
    return Answer(200, json.dumps([row]).encode(), {"Content-Type": "application/dicom+json"})


def prompts(stub: Stub, found: Watched) -> None:
    """What the language model was sent."""
    assert stub.bodies
    for body in stub.bodies:
        found.keep("prompts", body)
    found.keep("prompts", json.dumps(stub.headers))


def test_what_is_planted_can_be_found() -> None:
    data, values = scans()
    import base64

    for written in (data[0], data[0].hex().encode(), base64.b64encode(b"x" + data[0])):
        assert len(hidden_in(written, values)) > 300
    for word in (NAME, PATIENT):
        for code in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
            assert hidden_in(f"a log says {word} here".encode(code), values), (word, code)
    assert hidden_in(json.dumps({"a": NAME}).encode(), values)
    assert hidden_in(b"nothing of anybody", values) == set()


@sizes("patients", 1, 10)
def test_nobody_stands_in_a_deidentified_folder(
    patients: int, tally: Tally, tmp_path: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_DEID_KEY", "a secret of sixteen characters")
    source, out = tmp_path / f"{FILE} in", tmp_path / "out"
    data, values = scans()
    for patient in range(patients):
        folder = source / f"{NAME} {patient}" / f"{PATIENT}-{patient}"
        folder.mkdir(parents=True)
        for number, content in enumerate(data):
            (folder / f"{FILE} {number}.dcm").write_bytes(content)
        for name, content in bad_files(data[0]).items():
            (folder / name.removeprefix("../")).write_bytes(content)
    got = CliRunner().invoke(deidentify, [str(source), "--out", str(out), "--dates", "remove", "--json"])
    assert got.exit_code in (0, 30), got.output
    found = {str(one.relative_to(out)): one.read_bytes() for one in out.rglob("*") if one.is_file()}
    copies = [name for name in found if name.endswith(".dcm")]
    assert len(copies) >= patients * len(SLICES)
    hidden = {name: sorted(names)[:5] for name, held in found.items() if (names := hidden_in(held, values))}
    hidden |= {f"the name {name}": ["?"] for name in found if hidden_in(name.encode(), values)}
    assert not hidden, hidden
    assert not hidden_in(got.stderr.encode(), values)
    assert watched.left_behind() == []
    tally.tried("planted files through de-identification: copies, names, reports, logs", len(found))


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [1])
def test_nobody_stands_in_what_a_command_says_beside_its_answer(rounds: int, tally: Tally, tmp_path: Path) -> None:
    data, values = scans()
    bundle = make(tmp_path, unit="series")
    folder, temporary = tmp_path / f"{FILE} {PATIENT}", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    for number, content in enumerate(data):
        (folder / f"{FILE} {number}.dcm").write_bytes(content)
    for name, content in bad_files(data[0]).items():
        (tmp_path / name.removeprefix("../")).write_bytes(content)
    said, count = b"", 0
    for _ in range(rounds):
        for path in (folder, *(one for one in tmp_path.iterdir() if one.is_file() and one.name != tally.folder.name)):
            command = [sys.executable, "-X", "dev", "-m", "insula", "predict", str(bundle.path), str(path), "--json"]
            done = subprocess.run(
                command, capture_output=True, env={**os.environ, "TMPDIR": str(temporary)}, timeout=300, check=False
            )
            said += done.stderr
            count += 1
            assert b"Traceback" not in done.stderr, done.stderr[-2000:]
    inside = {name: value for name, value in values.items() if value.decode() not in (NAME, PATIENT, *_SENT)}
    assert not hidden_in(said, inside)
    assert not [one for one in temporary.rglob("*") if one.is_file()]
    tally.tried("`insula predict` of planted and of broken files: messages, warnings, temporary files", count)
