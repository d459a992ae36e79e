"""Past cases that look alike: of the own project and model alone, other patients' first, readers' labels unseen."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select, update
from tests.serve.api.made import Made
from tests.serve.client import dicom

from insula.core.errors import ScanError
from insula.infer.similar import directions
from insula.serve import similar
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.files import Files

pytestmark = pytest.mark.serve
HERE = "/api/v1/predictions"


def _case(made: Made, patient: str, seed: int, project: str = "", who: str = "reviewer") -> dict[str, Any]:
    """A predicted study whose picture depends on the seed."""
    form = {"project": project or made.inside, "patient": patient}
    sent = [("files", (f"{n}.dcm", dicom(number=n, seed=seed), "application/dicom")) for n in (1, 2)]
    study = made.client(who).post("/api/v1/studies", data=form, files=sent).json()
    asked = made.client(who).post(f"/api/v1/studies/{study['id']}/predictions", json={})
    assert asked.status_code == 202, asked.text
    made.worked()
    (found,) = made.client(who).get(f"/api/v1/studies/{study['id']}/predictions").json()
    return dict(found)


def _alike(made: Made, prediction: str, who: str = "reader", **query: Any) -> dict[str, Any]:
    answer = made.client(who).get(f"{HERE}/{prediction}/similar", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _hashes(made: Made, prediction: str) -> list[str]:
    found = schema.artefacts.c
    wanted = select(found.sha256).where(found.prediction_id == prediction, found.kind == similar.FEATURES)
    with reading(made.service.records) as connection:
        return list(connection.scalars(wanted))


def _kept(made: Made, prediction: str) -> similar.Features:
    return similar.unpack(made.service.files.get(_hashes(made, prediction)[0]))


def test_the_nearest_of_the_project_come_first_and_the_same_patient_last(made: Made) -> None:
    about = _case(made, "S-1", 1)
    others = [_case(made, f"S-{seed}", seed) for seed in (2, 3)]
    own = _case(made, "S-1", 1)
    foreign = _case(made, "S-1", 1, made.outside, "stranger")
    found = _alike(made, about["id"])
    assert found["searched"] == 3
    assert [one["same_patient"] for one in found["cases"]] == [False, False, True]
    assert found["cases"][2] == found["cases"][2] | {"prediction": own["id"], "same": True, "patient_key": "S-1"}
    assert foreign["id"] not in str(found)
    rows = np.stack([_kept(made, one["id"]).offset for one in (about, *others)])
    products = directions(rows, np.zeros(rows.shape[1])) @ directions(rows, np.zeros(rows.shape[1]))[0]
    wanted = sorted(zip(products[1:].tolist(), (one["id"] for one in others), strict=True), reverse=True)
    assert [one["prediction"] for one in found["cases"][:2]] == [name for _, name in wanted]
    assert [one["likeness"] for one in found["cases"][:2]] == pytest.approx([p for p, _ in wanted], abs=1e-5)
    shown = found["cases"][0]
    picture = made.client("reader").get(
        f"{HERE}/{shown['prediction']}/scans/{shown['scan']}/slices/{shown['slice']}", params={"least": 96}
    )
    assert picture.headers["content-type"] == "image/png"
    assert len(_alike(made, about["id"], top=1)["cases"]) == 2


def test_a_study_counts_once_by_its_newest_answer(made: Made) -> None:
    about, other = _case(made, "S-10", 10), _case(made, "S-11", 11)
    made.client("reviewer").post(f"/api/v1/studies/{other['study_id']}/predictions", json={})
    made.worked()
    newest = made.client("reviewer").get(f"/api/v1/studies/{other['study_id']}/predictions").json()[0]["id"]
    found = [one for one in _alike(made, about["id"], top=20)["cases"] if one["study_id"] == other["study_id"]]
    assert [one["prediction"] for one in found] == [newest]
    assert about["study_id"] not in {one["study_id"] for one in _alike(made, about["id"], top=20)["cases"]}


def test_readers_labels_are_told_to_whom_they_may_be(made: Made) -> None:
    about, other = _case(made, "S-20", 20), _case(made, "S-21", 21)
    said = {"target": other["answer"]["target"], "verdict": "override", "signature": "A. Reader"}
    label = next(name for name in other["answer"]["probabilities"] if name != other["label"])
    review = {**said, "prediction": other["id"], "label": label}
    assert made.client("admin").post(f"/api/v1/studies/{other['study_id']}/reviews", json=review).status_code == 201

    def labels(who: str) -> list[str]:
        (one,) = (c for c in _alike(made, about["id"], who, top=20)["cases"] if c["prediction"] == other["id"])
        return list(one["labels"])

    assert labels("reader") == labels("admin") == [label]
    assert labels("reviewer") == []  # who may be its second reader


def test_nothing_is_alike_to_a_rejected_scan_and_old_answers_say_why(made: Made) -> None:
    old = _case(made, "S-30", 30)
    with writing(made.service.records) as connection:
        kept = schema.artefacts.c
        connection.execute(
            delete(schema.artefacts).where(kept.prediction_id == old["id"], kept.kind == similar.FEATURES)
        )
    assert _alike(made, old["id"]) | {"cases": [], "searched": 0, "why": "not_kept"} == _alike(made, old["id"])
    about = _case(made, "S-31", 31)
    assert old["id"] not in str(_alike(made, about["id"], top=20))
    with writing(made.service.records) as connection:
        these = update(schema.predictions).where(schema.predictions.c.id == about["id"])
        connection.execute(these.values(action="reject", label=""))
    assert (_alike(made, about["id"])["why"], _alike(made, about["id"])["cases"]) == ("rejected", [])


def test_others_see_nothing(made: Made) -> None:
    about = _case(made, "S-40", 40)
    assert made.client("stranger").get(f"{HERE}/{about['id']}/similar").status_code == 404
    reason = {"reason": "Called in at night to give a second opinion."}
    opened = made.client("stranger").post(f"/api/v1/studies/{about['study_id']}/glass", json=reason)
    assert opened.status_code == 201, opened.text
    assert _alike(made, about["id"], "stranger")["cases"] == []  # one study is open, not the project


def test_what_was_lost_of_one_case_does_not_stop_the_search(made: Made) -> None:
    about, lost, spoilt, good = (_case(made, f"S-5{n}", 50 + n) for n in range(4))
    before = _alike(made, about["id"], top=20)
    for name in _hashes(made, lost["id"]):
        made.service.files.delete(name)
    other = made.service.files.put(io.BytesIO(similar.pack(similar.Features(np.ones(3, np.float32)))), 10_000)
    with writing(made.service.records) as connection:
        artefacts = schema.artefacts.c
        these = update(schema.artefacts).where(artefacts.prediction_id == spoilt["id"], artefacts.kind == "features")
        connection.execute(these.values(sha256=other.sha256))
    found = _alike(made, about["id"], top=20)
    ids = {one["prediction"] for one in found["cases"]}
    assert good["id"] in ids
    assert not ids & {lost["id"], spoilt["id"]}
    assert found["searched"] == before["searched"] - 2
    assert found["said"].endswith("missing or damaged: 2.")
    assert "damaged" not in before["said"]


def test_features_are_read_while_no_connection_is_held(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    about, _ = _case(made, "S-60", 60), _case(made, "S-61", 61)
    held: list[int] = []
    read = similar.of_file

    def watched(files: Files, sha256: str) -> similar.Features:
        held.append(made.service.records.pool.checkedout())  # type: ignore[attr-defined]
        return read(files, sha256)

    monkeypatch.setattr(similar, "of_file", watched)
    _alike(made, about["id"])
    assert set(held) == {0}
    entries = made.client("auditor").get("/api/v1/trail").json()["items"]
    assert [one["action"] for one in entries if one["subject"] == about["id"] and one["actor"] == "reader"] == [
        "similar.read"
    ]


def test_features_are_read_as_they_were_kept(made: Made) -> None:
    one = similar.Features(np.arange(4, dtype=np.float32), "ct.2", 7)
    again = similar.unpack(similar.pack(one))
    assert (again.offset.tolist(), again.scan, again.slice) == ([0.0, 1.0, 2.0, 3.0], "ct.2", 7)
    stream = io.BytesIO()
    np.savez(stream, offset=np.zeros(2))
    for damaged in (b"", b"PK\x03\x04", stream.getvalue()):
        with pytest.raises(ScanError, match="predict the study again"):
            similar.unpack(damaged)
