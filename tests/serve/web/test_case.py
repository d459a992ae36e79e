"""The page of a case: it says what the report says, shows each reader what that one may see, and what can be done."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markupsafe import escape
from sqlalchemy import Connection, delete, select, update
from tests.serve.api.made import Made, service
from tests.serve.client import dicom, png
from tests.serve.web.reading import read

from insula.report.case import say, texts
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.web import case_facts

pytestmark = pytest.mark.serve


def _page(made: Made, study: str, who: str = "reviewer", status: int = 200, **query: str) -> str:
    answer = made.client(who).get(f"/studies/{study}", params=query, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.text[:2000]
    return answer.text


def _said(made: Made, study: str) -> str:
    return read(made.client("reviewer"), f"/studies/{study}").text


def _set(made: Made, prediction: str, **values: Any) -> None:
    with writing(made.service.records) as connection:
        connection.execute(update(schema.predictions).where(schema.predictions.c.id == prediction).values(**values))


def _review(made: Made, found: dict[str, Any], who: str, verdict: str = "agree", label: str = "", **more: Any) -> Any:
    said = {"target": found["answer"]["target"], "verdict": verdict, "signature": f"Dr {who}", **more}
    said |= {"prediction": found["id"]} | ({"label": label} if label else {})
    return made.client(who).post(f"/api/v1/studies/{found['study_id']}/reviews", json=said)


def _evaluated(made: Made) -> None:
    """Put figures of an evaluation beside the model, as the register keeps them."""
    plain: dict[str, Any] = {"n": 100, "events": 40, "reason": ""}
    figures = [
        {"key": "sensitivity", "value": 0.9, "interval": [0.8, 0.95], **plain},
        {"key": "specificity", "value": 0.7, "interval": [0.6, 0.8], **plain},
    ]
    with writing(made.service.records) as connection:
        info = connection.scalar(select(schema.models.c.info)) or {}
        connection.execute(update(schema.models).values(info={**info, "figures": figures}))


def test_the_page_says_what_the_report_says(made: Made) -> None:
    found = made.predicted(patient="C-1", patient_name="İğdır Çınar 王小明", title="Head CT")
    _evaluated(made)
    said = _said(made, found["study_id"])
    report = made.client("reviewer").get(f"/api/v1/predictions/{found['id']}/report", params={"format": "json"}).json()
    assert "İğdır Çınar 王小明" in said
    assert "C-1" in said
    for name, p in found["answer"]["probabilities"].items():
        assert name in said
        assert f"{p:.2f}" in said
    t = texts.texts("en")
    assert t[found["action"]] in said
    for row in report["prevalences"]:
        for key in ("ppv", "npv"):
            value, low, high = (row[key][name] for name in ("value", "low", "high"))
            assert " ".join(say.ends((value, low, high), t)) in said
    for reason in found["answer"]["reasons"]:
        assert reason in said


def test_of_a_rejected_scan_no_class_is_shown(made: Made) -> None:
    found = made.predicted(patient="C-2")
    answer = {**found["answer"], "label": "", "positive": None, "decision": "reject", "probabilities": {}}
    answer |= {
        "prediction_set": [],
        "spread": None,
        "uncertainty": {},
        "also": {},
        "reasons": ["the scan is blank"],
        "kinds": ["blank"],
    }
    _set(made, found["id"], action="reject", label="", confidence=0.0, entropy=None, answer=answer)
    with writing(made.service.records) as connection:  # of a rejected scan neither pictures nor features are kept
        connection.execute(delete(schema.artefacts).where(schema.artefacts.c.prediction_id == found["id"]))
    page = _page(made, found["study_id"], "reader")
    assert texts.texts("en")["reject"] in page
    assert "the scan is blank" in page
    for name in found["answer"]["probabilities"]:
        assert name not in re.sub(r"<h2.*?</h2>|<script.*?</script>", "", page, flags=re.DOTALL)
    assert 'id="case-meaning"' not in page


def test_without_an_evaluation_no_figure_is_shown(made: Made) -> None:
    found = made.predicted(patient="C-3")
    with writing(made.service.records) as connection:
        info = connection.scalar(select(schema.models.c.info)) or {}
        connection.execute(update(schema.models).values(info={**info, "figures": []}))
    page = _page(made, found["study_id"])
    assert "No evaluation of this model is at hand" in page
    assert "case-slider" not in page
    _evaluated(made)
    data = re.search(r'id="case-meaning">(.*?)</script>', _page(made, found["study_id"]))
    assert data is not None
    assert json.loads(data[1])["sensitivity"] == [0.9, 0.8, 0.95]


def test_the_newest_answer_is_shown_and_an_earlier_one_by_its_name(made: Made) -> None:
    first = made.predicted(patient="C-4")
    made.client("reviewer").post(f"/api/v1/studies/{first['study_id']}/predictions", json={})
    made.worked()
    second = made.client("reviewer").get(f"/api/v1/studies/{first['study_id']}/predictions").json()[0]
    assert f'data-prediction="{second["id"]}"' in _page(made, first["study_id"])
    earlier = _page(made, first["study_id"], prediction=first["id"])
    assert f'data-prediction="{first["id"]}"' in earlier
    assert "An earlier answer" in earlier
    other = made.predicted(patient="C-5")
    _page(made, first["study_id"], status=404, prediction=other["id"])


def test_a_model_that_runs_along_is_not_shown(made: Made) -> None:
    found = made.predicted(patient="C-6")
    _set(made, found["id"], arm="shadow")
    assert "No model has answered for this study yet." in _page(made, found["study_id"])
    _page(made, found["study_id"], status=404, prediction=found["id"])


def test_a_study_without_an_answer_can_be_predicted_or_labelled(made: Made) -> None:
    study = made.study(patient="C-7")
    page = read(made.client("reviewer"), f"/studies/{study['id']}")
    assert "No model has answered for this study yet." in page.text
    assert "prediction" not in page.fields
    made.client("reviewer").post(f"/api/v1/studies/{study['id']}/predictions", json={})
    waiting = _page(made, study["id"])
    assert 'id="case-job" data-job="' in waiting
    assert "waiting for its turn" in waiting
    made.worked()
    assert 'id="case-job"' not in _page(made, study["id"])


def test_a_failed_job_is_told_and_several_series_are_a_choice(made: Made) -> None:
    files = [("files", (f"{s}-{n}.dcm", dicom(number=n, series=s), "application/dicom")) for s in "89" for n in (1, 2)]
    form = {"project": made.inside, "patient": "C-8"}
    study = made.client("reviewer").post("/api/v1/studies", data=form, files=files).json()
    where = f"/api/v1/studies/{study['id']}/predictions"
    made.client("reviewer").post(where, json={})
    made.worked()
    page = _page(made, study["id"])
    assert "several series that could be meant" in page
    assert re.findall(r'name="series" value="(\d+)"', page) == ["1", "2"]
    assert 'data-role="ct"' in page
    made.client("reviewer").post(where, json={"series": {"ct": 2}})
    made.worked()
    assert "case-job" not in re.sub(r"<link.*?>", "", _page(made, study["id"]))


def test_first_hour_a_study_whose_prediction_failed_says_in_its_head_what_failed(made: Made) -> None:
    files = [("files", ("a.png", png(), "image/png"))]
    form = {"project": made.inside, "patient": "C-PNG"}
    study = made.client("reviewer").post("/api/v1/studies", data=form, files=files).json()
    made.client("reviewer").post(f"/api/v1/studies/{study['id']}/predictions", json={})
    before = _page(made, study["id"]).partition('id="case-job"')[0]
    assert "scans without a modality" in before
    made.worked()
    head = _page(made, study["id"]).partition('id="case-job"')[0]
    assert "no scans" not in head
    job = made.client("reviewer").get("/api/v1/jobs").json()["items"][0]
    assert job["state"] == "failed"
    assert f'not predicted: <span lang="en">{escape(job["error"]["message"])}</span>' in head


def test_a_second_reader_reads_blind(made: Made) -> None:
    found = made.predicted(patient="C-9")
    other = next(name for name in found["answer"]["probabilities"] if name != found["label"])
    said = _review(made, found, "admin", "override", other, comment="It is the other one")
    assert said.status_code == 201, said.text
    assert "It is the other one" not in _page(made, found["study_id"])
    assert "What others said is shown once you have" in _page(made, found["study_id"])
    summary = f"/api/v1/predictions/{found['id']}/summary"
    told = {who: made.client(who).get(summary).json()["text"] for who in ("reader", "reviewer")}
    assert "reviewer did not agree" in told["reader"]
    assert "reviewer" not in told["reviewer"]
    assert "It is the other one" in _page(made, found["study_id"], "reader")
    assert _review(made, found, "reviewer").status_code == 201
    page = _page(made, found["study_id"])
    assert "It is the other one" in page
    assert "Dr admin" in page


def test_a_reader_is_told_why_there_is_no_form(made: Made) -> None:
    found = made.predicted(patient="C-10")
    page = _page(made, found["study_id"], "reader")
    assert "case-review-form" not in page
    assert "Your role reads cases and does not review them" in page
    assert "Erase this study" not in page
    assert "Next uncertain case" not in page
    form = read(made.client("reviewer"), f"/studies/{found['study_id']}")
    assert form.fields["prediction"] == found["id"]
    assert form.fields["target"] == found["answer"]["target"]
    admin = _page(made, found["study_id"], "admin")
    assert "Erase this study" in admin
    assert "/export" in admin


def test_the_next_case_is_the_next_uncertain_one(made: Made) -> None:
    some = [made.predicted(patient=f"C-11-{n}") for n in range(3)]
    for n, one in enumerate(some):
        _set(made, one["id"], entropy=9.0 - n)
    for here, there in ((0, 1), (1, 2)):
        page = _page(made, some[here]["study_id"])
        assert f"/studies/{some[there]['study_id']}?prediction={some[there]['id']}" in page


def test_a_note_is_kept_with_the_version_that_was_seen(made: Made) -> None:
    study = made.study(patient="C-12", note="first\n<b>line</b>")
    page = _page(made, study["id"])
    assert f"data-match='\"{study['version']}\"'" in page
    assert "first\n&lt;b&gt;line&lt;/b&gt;</textarea>" in page


def test_a_study_of_others_is_opened_by_break_glass_and_nothing_more(made: Made) -> None:
    found = made.predicted(patient="C-13", title="Not for strangers")
    theirs, none = (_page(made, name, "stranger", 404) for name in (found["study_id"], "0" * 32))
    assert theirs.replace(found["study_id"], "0" * 32) == none  # whether it is there is not said
    assert f"POST /api/v1/studies/{found['study_id']}/glass" in theirs
    reason = {"reason": "Called in at night to give a second opinion."}
    assert made.client("stranger").post(f"/api/v1/studies/{found['study_id']}/glass", json=reason).status_code == 201
    page = _page(made, found["study_id"], "stranger")
    assert "Not for strangers" in page
    assert "by break-glass, until" in page
    assert not re.findall(r'data-api="(?:POST|PATCH|DELETE) /api/v1/studies', page)
    assert 'data-predict="' not in page


def test_looking_is_told_to_the_trail(made: Made) -> None:
    found = made.predicted(patient="C-14")
    _page(made, found["study_id"], "reader")
    _page(made, "1" * 32, "reader", 404)
    with reading(made.service.records) as connection:
        rows = connection.execute(select(schema.trail).order_by(schema.trail.c.seq.desc()).limit(2)).all()
    assert (rows[1].actor, rows[1].action, rows[1].subject) == ("reader", "case.read", found["study_id"])
    assert (rows[0].action, rows[0].outcome) == ("request", "refused")


def test_it_works_without_any_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bare")
    with service(None, f"sqlite:///{folder}/insula.db", folder) as made:
        study = made.study(patient="N-1")
        page = read(made.client("reviewer"), f"/studies/{study['id']}")
        assert "No model is active here" in page.text
        assert page.fields["target"] == ""
        said = {"target": "haemorrhage", "verdict": "override", "label": "any", "signature": "Dr R"}
        assert made.client("reviewer").post(f"/api/v1/studies/{study['id']}/reviews", json=said).status_code == 201
        assert "Dr R" in _page(made, study["id"])


def test_the_page_speaks_german(made: Made) -> None:
    found = made.predicted(patient="C-15")
    answer = made.client("reviewer").get(
        f"/studies/{found['study_id']}", headers={"Accept": "text/html", "Accept-Language": "de"}
    )
    assert "Ähnliche frühere Fälle" in answer.text
    assert "Schwelle" in answer.text or "Vorhersagemenge" in answer.text
    for english in ("Similar past cases", "Prediction set", "Report and summary"):
        assert english not in re.sub(r"<script.*?</script>", "", answer.text, flags=re.DOTALL)


def test_scans_that_are_added_stand_beside_the_first(made: Made) -> None:
    study = made.study(patient="C-16")
    sent = [("files", (f"{n}.dcm", dicom("MR", number=n, series="7.7"), "application/dicom")) for n in (1, 2)]
    added = made.client("reviewer").post(f"/api/v1/studies/{study['id']}/files", files=sent)
    assert added.status_code == 201, added.text
    assert [one["modality"] for one in added.json()["facts"]["scan"]["scans"]] == ["CT", "MR"]
    assert "CT + MR" in _page(made, study["id"])


def test_a_model_whose_recipe_cannot_be_read_is_passed_over_and_named_where_it_answered(made: Made) -> None:
    found, open_study = made.predicted(patient="RECIPE-1"), made.study(patient="RECIPE-2")
    client, html = made.client("reviewer"), {"Accept": "text/html"}
    with writing(made.service.records) as connection:
        info = connection.scalar(select(schema.models.c.info)) or {}
        connection.execute(update(schema.models).values(info={**info, "recipe": {"of": "another version"}}))
    try:
        for path in ("/about", "/upload", f"/studies/{open_study['id']}"):
            assert client.get(path, headers=html).status_code == 200, path
        assert "cannot be read by this version" in _page(made, found["study_id"], status=409)
        report = client.get(f"/api/v1/predictions/{found['id']}/report", params={"format": "json"})
        assert (report.status_code, report.json()["code"]) == (409, "unread_recipe")
    finally:
        with writing(made.service.records) as connection:
            connection.execute(update(schema.models).values(info=info))


def test_of_very_many_answers_the_newest_are_listed_and_older_ones_can_still_be_opened(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_facts, "MOST_VERSIONS", 2)
    found = made.predicted(patient="MANY-1")
    where = f"/api/v1/studies/{found['study_id']}/predictions"
    more = "are listed; the history has all of them"
    for count in (1, 2, 3, 4):
        assert (more in _page(made, found["study_id"])) == (count > 2)
        made.client("reviewer").post(where, json={})
        made.worked()
    text = _page(made, found["study_id"])
    ids = [one["id"] for one in made.client("reviewer").get(where).json()]
    assert [f"?prediction={one}" in text for one in ids] == [True, True, False, False, False]
    assert ids[-1] == found["id"]
    _page(made, found["study_id"], prediction=found["id"])
    _page(made, found["study_id"], status=404, prediction=made.predicted(patient="MANY-2")["id"])


def test_a_reader_is_looked_up_once_however_much_he_said(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made.predicted(patient="NAMES-1")
    for verdict in ("agree", "cannot_tell", "agree"):
        assert _review(made, found, "reviewer", verdict).status_code == 201
    asked: list[str | None] = []
    name = case_facts._name

    def counted(connection: Connection, one: str | None) -> str:
        asked.append(one)
        return name(connection, one)

    monkeypatch.setattr(case_facts, "_name", counted)
    _page(made, found["study_id"])
    assert asked == [made.ids["reviewer"]], "who sent it and who read it three times"
