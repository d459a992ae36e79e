from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests import tiny_bundle as tiny_parts
from tests.serve.client import client, dicom, nifti, png

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.scans.read import read

pytestmark = pytest.mark.serve


def test_health_with_and_without_a_model(tiny_bundle: Callable[..., Bundle]) -> None:
    assert client(tiny_bundle()).get("/health").json() == {"status": "ok", "model_loaded": True}
    assert client(None).get("/health").json() == {"status": "ok", "model_loaded": False}


def test_without_a_model_predictions_say_so() -> None:
    empty = client(None)
    for answer in (
        empty.get("/model_info"),
        empty.post("/predict", files={"file": dicom()}),
        empty.post("/batch_predict", files={"files": dicom()}),
    ):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "no_model"
    assert "No model is loaded" in empty.get("/").text


def test_model_info_says_what_is_loaded(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    info = client(bundle).get("/model_info").json()
    assert info["bundle_id"] == bundle.id
    assert info["classes"] == ["normal", "stroke"]
    assert info["provider"] == info["providers"][-1] == "CPUExecutionProvider"
    assert info["provider_difference"] is None
    assert info["thresholds"] == {"normal": 0.5, "stroke": 0.5}
    assert info["metrics"] == bundle.metrics
    assert "Research use only" in info["intended_use"]


def test_predict_gives_exactly_the_documented_fields_and_the_one_prediction(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = tiny_bundle()
    data = dicom()
    got = client(bundle).post("/predict", files={"file": ("jane.dcm", data)})
    assert got.status_code == 200, got.text
    body = got.json()
    assert set(body) == {"predicted_class", "class_name", "confidence", "probabilities", "insula"}
    assert set(body["insula"]) == {
        "decision", "reasons", "prediction_set", "labels", "domain_score", "bundle_id", "warnings",
    }  # fmt: skip
    (tmp_path / "same.dcm").write_bytes(data)
    want = Predictor(bundle).volume(read(tmp_path / "same.dcm"), "x", ask=bundle.recipe.policy.refer.sources)
    decision = decide(want, bundle)
    assert body["class_name"] == decision.label
    assert body["predicted_class"] == ["normal", "stroke"].index(decision.label)
    assert body["probabilities"] == {
        c: round(float(p), 6) for c, p in zip(want.classes, want.probabilities, strict=True)
    }
    assert body["confidence"] == round(decision.confidence, 6)
    assert body["insula"]["decision"] == decision.action
    assert body["insula"]["bundle_id"] == bundle.id


@pytest.mark.parametrize(("query", "form"), [("?uncertainty=true", {}), ("", {"uncertainty": "true"})])
def test_uncertainty_is_added_when_asked_for_by_query_or_form(
    tiny_bundle: Callable[..., Bundle], query: str, form: dict[str, str]
) -> None:
    service = client(tiny_bundle())
    body = service.post(f"/predict{query}", files={"file": dicom()}, data=form).json()
    assert set(body["uncertainty"]) == {"normal", "stroke"}
    assert all(0 < s < 0.5 for s in body["uncertainty"].values())
    off = service.post("/predict?uncertainty=false", files={"file": dicom()}).json()
    assert "uncertainty" not in off


def test_without_dropout_the_uncertainty_is_null_and_not_zero(tiny_bundle: Callable[..., Bundle]) -> None:
    body = client(tiny_bundle(dropout=0.0)).post("/predict?uncertainty=1", files={"file": dicom()}).json()
    assert body["uncertainty"] is None
    assert any("no dropout" in w for w in body["insula"]["warnings"])


def test_the_spread_is_of_the_source_that_the_policy_refers_by(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(refer={"by": "views"}))
    body = service.post("/predict?uncertainty=true", files={"file": dicom()}).json()
    assert body["insula"]["uncertainty_source"] == "views" == service.get("/model_info").json()["uncertainty_source"]
    dropout = client(tiny_bundle()).post("/predict?uncertainty=true", files={"file": dicom()}).json()
    assert dropout["insula"]["uncertainty_source"] == "dropout"
    assert dropout["uncertainty"] != body["uncertainty"]


def test_a_limit_on_the_spread_refers_whether_it_is_asked_for_or_not(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(refer={"spread": 1e-6}))
    for query in ("", "?uncertainty=true"):
        said = service.post(f"/predict{query}", files={"file": dicom()}).json()["insula"]
        assert said["decision"] == "refer"
        assert any(reason.startswith("spread") for reason in said["reasons"])


def test_a_rejected_scan_has_a_reason_and_nothing_that_could_be_read_as_an_answer(tmp_path: Path) -> None:
    bundle = save(tmp_path / "b", tiny_parts.rejecting(tiny_parts.parts(tiny_parts.recipe(), tiny_parts.weights(1, 2))))
    got = client(bundle).post("/predict?uncertainty=true", files={"file": dicom()})
    assert got.status_code == 200, got.text
    body = got.json()
    assert "too unlike the training scans" in body["insula"].pop("reasons")[0]
    assert (body["predicted_class"], body["class_name"], body["confidence"]) == (None, "", 0.0)
    assert (body["probabilities"], body["uncertainty"]) == ({}, None)
    assert (body["insula"]["decision"], body["insula"]["prediction_set"], body["insula"]["labels"]) == (
        "reject",
        [],
        [],
    )


def test_a_model_of_two_answers_says_its_kind(tiny_bundle: Callable[..., Bundle]) -> None:
    assert client(tiny_bundle(kind="binary")).get("/model_info").json()["kind"] == "binary"


def test_several_files_are_the_slices_of_one_series(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    parts = [("file", (f"{i}.dcm", dicom(number=i))) for i in (3, 1, 2)]
    whole = service.post("/predict", files=parts)
    assert whole.status_code == 200, whole.text
    assert whole.json()["probabilities"] == service.post("/predict", files=parts[::-1]).json()["probabilities"]
    assert whole.json()["probabilities"] != service.post("/predict", files=parts[:1]).json()["probabilities"]


@pytest.mark.parametrize(("limit", "answer"), [(1.0, "no any"), (0.0, "any")])
def test_labels_never_contradict_the_headline_that_they_imply(limit: float, answer: str, tmp_path: Path) -> None:
    made = tiny_parts.parts(tiny_parts.recipe("multilabel"), tiny_parts.weights(1, 3))
    thresholds = {"any": limit, "subdural": 0.0, "epidural": 0.0}
    bundle = save(tmp_path / "b", replace(made, decision=replace(made.decision, thresholds=thresholds)))
    body = client(bundle).post("/predict", files={"file": dicom()}).json()
    assert body["class_name"] == answer
    assert body["predicted_class"] == (0 if answer == "any" else None)
    assert body["insula"]["labels"] == (["any", "subdural", "epidural"] if answer == "any" else [])


def test_a_batch_answers_each_file_and_one_failure_spoils_nothing(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    files = [
        ("files", ("../../etc/a.dcm", dicom(seed=1))),
        ("files", ("notes.txt", b"hello there, no scan")),
        ("files", ("C:\\scans\\b.dcm", dicom(seed=2))),
        ("files", ("mr.dcm", dicom("MR"))),
    ]
    got = service.post("/batch_predict?uncertainty=true", files=files)
    assert got.status_code == 200, got.text
    first, second, third, fourth = got.json()["results"]
    assert [first["filename"], second["filename"], third["filename"]] == ["a.dcm", "notes.txt", "b.dcm"]
    single = service.post("/predict?uncertainty=true", files={"file": dicom(seed=2)}).json()
    assert third == {"filename": "b.dcm", **single}
    assert set(second) == {"filename", "error"}
    assert second["error"]["code"] == "unknown_kind"
    assert fourth["error"]["code"] == "unsuitable_scan"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty_file"),
        (b"hello there, no scan", 415, "unknown_kind"),
        (b"\0" * 5000, 415, "unknown_kind"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 300, 422, "unreadable_scan"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 20, 422, "unreadable_scan"),
        (png(), 422, "unsuitable_scan"),
        (dicom("MR"), 422, "unsuitable_scan"),
        (dicom()[:700], 422, "unreadable_scan"),
    ],
)
def test_what_is_no_scan_for_this_model_gets_the_one_error_body(
    tiny_bundle: Callable[..., Bundle], data: bytes, status: int, code: str
) -> None:
    got = client(tiny_bundle()).post("/predict", files={"file": ("Jane Doe.dcm", data)})
    assert (got.status_code, set(got.json())) == (status, {"error"}), got.text
    assert set(got.json()["error"]) == {"code", "message", "see"}
    assert got.json()["error"]["code"] == code
    for secret in ("Jane", "4711", "/tmp", "Traceback"):
        assert secret not in got.text


def test_a_volume_without_units_is_refused(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    got = client(tiny_bundle()).post("/predict", files={"file": ("v.nii.gz", nifti(tmp_path))})
    assert got.status_code == 422
    assert got.json()["error"]["code"] == "unsuitable_scan"


def test_forms_that_are_none(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    cases = [
        (service.post("/predict"), 415),
        (service.post("/predict", json={"file": "x"}), 415),
        (service.post("/predict", content=b"xx", headers={"content-type": "multipart/form-data"}), 400),
        (service.post("/predict", content=b"xx", headers={"content-type": "multipart/form-data; boundary=y"}), 400),
        (service.post("/predict", files={"other": dicom()}), 400),
        (service.post("/predict", data={"file": "text"}, files={"x": b"x"}), 400),
        (service.post("/predict?uncertainty=perhaps", files={"file": dicom()}), 422),
        (service.get("/predict"), 405),
        (service.get("/nothing"), 404),
        (service.get("/docs"), 404),
        (service.get("/redoc"), 404),
    ]
    for answer, status in cases:
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}


def test_a_batch_above_its_number_of_files_is_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    got = client(tiny_bundle(), max_batch=2).post("/batch_predict", files=[("files", dicom())] * 3)
    assert got.status_code == 400
    assert "at most 2" in got.json()["error"]["message"]


def test_openapi_describes_the_upload_and_the_answer(tiny_bundle: Callable[..., Bundle]) -> None:
    api = client(tiny_bundle()).get("/openapi.json").json()
    post = api["paths"]["/predict"]["post"]
    assert "file" in json.dumps(post["requestBody"])
    assert post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Answer")
    assert "not a medical device" in api["info"]["description"]


def test_openapi_is_written_out_once(tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    one = client(tiny_bundle())
    first = one.get("/openapi.json")
    monkeypatch.setattr(one.app, "openapi", lambda: pytest.fail("made anew"))
    again = one.get("/openapi.json")
    assert again.content == first.content
    assert again.headers["content-type"] == "application/json"
