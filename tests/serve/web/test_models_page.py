"""The pages of the models: what each does, how it was judged, and what an administrator may change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.report import made_audit, made_report
from tests.serve.api.made import Made, service
from tests.serve.web.reading import read
from tests.tiny_bundle import make

from insula.serve.monitor.reviewed import FEWEST

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, str, str]]:
    """A service with one model in charge and a candidate, and a third bundle that can be added."""
    folder = Path(tmp_path_factory.mktemp("models"))
    first = make(folder / "one", unit="series")
    second = make(folder / "two", unit="series", dropout=0.4)
    third = make(folder / "three", unit="series", dropout=0.5)
    shutil.copytree(second.path, folder / "models" / "second")
    shutil.copytree(third.path, folder / "models" / "third")
    with service(first, f"sqlite:///{folder}/insula.db", folder, models=folder / "models") as made:
        assert made.client("admin").post("/api/v1/models", json={"name": "second"}).status_code == 201
        yield made, first.id, second.id


def test_the_list_says_what_each_model_does(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    page = read(made.client("reader"), "/models")
    assert [(row[0].split()[0], row[1], row[3], row[4]) for row in page.rows] == [
        ("tiny-ct", "in charge", "yes", "simple_cnn"),
        ("tiny-ct", "candidate", "yes", "simple_cnn"),
    ]
    assert [one for one in page.links if one.startswith("/models/")] == [f"/models/{first}", f"/models/{second}"]
    assert "Does this tiny CT show anything?" in page.text
    assert page.options == {}, "a reader changes nothing"


def test_an_administrator_is_offered_what_is_not_loaded_yet(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    text = made.client("admin").get("/models", headers={"Accept": "text/html"}).text
    assert 'data-api="POST /api/v1/models"' in text
    assert "<option>third</option>" in text
    assert "<option>second</option>" not in text
    assert f'<option value="{first}" selected>' in text
    assert f'<option value="{second}" selected>' in text


def test_a_service_without_a_folder_for_models_says_so(made: Made) -> None:
    assert "INSULA_MODELS names no folder" in read(made.client("admin"), "/models").text
    assert "There is one model only" in read(made.client("admin"), "/models").text


def test_a_model_is_told_in_words(two: tuple[Made, str, str]) -> None:
    made, first, _ = two
    page = read(made.client("reader"), f"/models/{first}")
    for said in (
        "in charge", "Does this tiny CT show anything?", "ct: CT, a series", "one of several classes",
        "Trained on 2 patients, 1 file", "Research use only; not a medical device.",
        "The threshold was chosen on validation patients for the largest sum of sensitivity and specificity.",
        "A person has to look where its confidence is below 70%.",
        "This service knows of no evaluation of this model.", "cp REPORT/report.json", "cp AUDIT/audit.json",
    ):  # fmt: skip
        assert said in page.text, said
    assert "What it is to do" not in page.text
    read(made.client("reader"), f"/models/{'0' * 16}", 404)


def test_only_an_administrator_may_change_it_and_the_forms_speak_to_the_api(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    text = made.client("admin").get(f"/models/{second}", headers={"Accept": "text/html"}).text
    assert text.count(f'data-api="PUT /api/v1/models/{second}/state"') == 4
    for state in ("active", "shadow", "ab", "retired"):
        assert f'name="state" value="{state}"' in text
    active = made.client("admin").get(f"/models/{first}", headers={"Accept": "text/html"}).text
    assert active.count('data-api="PUT') == 1, "one in charge can be retired only"


def test_a_model_that_is_not_loaded_is_shown_and_cannot_be_put_in_charge(two: tuple[Made, str, str]) -> None:
    made, _, second = two
    kept = made.service.pool.get(second)
    made.service.pool.remove(second)
    try:
        text = made.client("admin").get(f"/models/{second}", headers={"Accept": "text/html"}).text
        assert "not loaded here" in text
        assert "This is told by the bundle itself" in text
        assert text.count('type="submit" disabled') == 3
        rows = read(made.client("reader"), "/models").rows
        assert [row[3] for row in rows] == ["yes", "no"]
    finally:
        made.service.pool.add(kept.bundle.path)


def test_two_models_are_compared_and_a_refusal_stands_beside_the_choice(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    admin = made.client("admin")
    assert read(admin, "/models/compare").rows == []
    assert "No study was answered by both." in read(admin, "/models/compare", a=first, b=second).text
    refused = read(admin, "/models/compare", 422, a=first, b=first)
    assert "compared with itself" in refused.alert
    assert (refused.fields["a"], refused.fields["b"]) == (first, first)
    read(made.client("reader"), "/models/compare", 403)
    assert admin.put(f"/api/v1/models/{second}/state", json={"state": "shadow"}).status_code == 200
    few = "Too few of these studies were reviewed"
    for number in range(FEWEST):
        answer = made.predicted(patient=f"compared {number}")
        said = {"prediction": answer["id"], "target": "answer", "verdict": "agree", "signature": "R"}
        reviewed = made.client("reviewer").post(f"/api/v1/studies/{answer['study_id']}/reviews", json=said)
        assert reviewed.status_code == 201, reviewed.text
        page = read(admin, "/models/compare", a=first, b=second)
        assert (few in page.text) == (number + 1 < FEWEST), "one would tell a second reader what the first one said"
    assert f"{FEWEST} studies, {FEWEST} patients" in page.text
    assert page.rows[0][0] == "right, of those reviewed"
    assert {row[0] for row in page.rows[1:4]} == {"accepted", "referred", "rejected"}


def test_evaluation_and_audit_are_shown_without_naming_a_case(two: tuple[Made, str, str]) -> None:
    made, first, _ = two
    path = made.service.pool.get(first).bundle.path
    report = {**made_report.record(), "model": {"bundle": first}, "misses": [], "failures": []}
    held = made_audit.held(made_audit.plain())
    places = {
        path.with_name(f"{path.name}.report.json"): report,
        path.with_name(f"{path.name}.audit.json"): {**held, "facts": {**held["facts"], "bundle": first}},
    }
    for place, content in places.items():
        place.write_text(json.dumps(content), encoding="utf-8")
    try:
        page = read(made.client("reader"), f"/models/{first}")
        figures = {row[0]: row[1:] for row in page.rows}
        assert figures["ROC-AUC"] == ["0.924", "0.707 to 0.984", "24 patients, 12 positive"]
        assert figures["Referred to a person"][0] == "0.250"
        assert figures["A model that sees only the border of the picture"] == ["0.810 0.720 to 0.880", "0.7"]
        assert "4 of 13 findings fail." in page.text
        assert "case-" not in page.text
        assert "a, b, c" not in page.text, "the evidence of a finding names cases"
        assert f"/models/{first}/evaluation" not in page.links
        text = made.client("auditor").get(f"/models/{first}", headers={"Accept": "text/html"}).text
        assert text.count('<svg role="img"') == 3
        assert f'href="/models/{first}/evaluation"' in text
        assert f'href="/models/{first}/audit/sheet"' in text
    finally:
        for place in places:
            place.unlink()


def test_a_record_of_another_bundle_is_refused_on_the_page(two: tuple[Made, str, str]) -> None:
    made, first, second = two
    path = made.service.pool.get(first).bundle.path
    place = path.with_name(f"{path.name}.report.json")
    place.write_text(json.dumps({**made_report.record(), "model": {"bundle": second}}), encoding="utf-8")
    try:
        page = read(made.client("reader"), f"/models/{first}")
        assert f"{place.name} was refused." in page.alert
        assert "run insula evaluate on this one" in page.alert
        place.write_text(json.dumps({"schema": 1, "facts": {}, "model": {"bundle": first}}), encoding="utf-8")
        assert "make it again with this version" in read(made.client("reader"), f"/models/{first}").alert
    finally:
        place.unlink()
