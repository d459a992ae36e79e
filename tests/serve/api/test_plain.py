"""The four plain endpoints where records are kept: the same shapes, behind a log-in."""

from __future__ import annotations

import pytest
from tests.serve.api.made import Made
from tests.serve.client import dicom

pytestmark = pytest.mark.serve


def test_they_answer_in_the_same_shapes_to_whoever_may_ask(made: Made) -> None:
    assert made.fresh().get("/health").json() == {"status": "ok", "model_loaded": True}
    assert made.fresh().get("/model_info").status_code == 401
    client = made.client("reader")
    assert set(client.get("/model_info").json()["classes"]) == {"normal", "stroke"}
    sent = {"file": ("a.dcm", dicom())}
    answer = client.post("/predict", files=sent, data={"uncertainty": "true"})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["probabilities"]) == {"normal", "stroke"}
    batch = client.post("/batch_predict", files=[("files", ("a.dcm", dicom())), ("files", ("b.txt", b"x"))]).json()
    assert [one["filename"] for one in batch["results"]] == ["a.dcm", "b.txt"]
    assert "error" in batch["results"][1]
    refused = made.client("auditor").post("/predict", files=sent)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_each_is_told_to_the_trail(made: Made) -> None:
    made.client("reader").post("/predict", files={"file": ("a.dcm", dicom())})
    found = made.client("auditor").get("/api/v1/trail", params={"action": "prediction.plain"}).json()["items"]
    assert found[0]["actor"] == "reader"
    assert found[0]["detail"] == '{"scans":1}'
