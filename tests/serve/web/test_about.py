from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.report.record import SCHEMA
from insula.serve.answers import INTENDED_USE
from insula.serve.web.about import MODALITIES, goes_out

pytestmark = pytest.mark.serve
PAGE = {"accept": "text/html"}
PAGES = ("/about", "/privacy", "/security")


@contextmanager
def other(folder: Path, **settings: Any) -> Iterator[Made]:
    with service(make(folder, unit="series"), f"sqlite:///{folder}/i.db", folder, **settings) as found:
        yield found


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "de"])
def test_anybody_reads_what_this_is(made: Made, path: str, language: str) -> None:
    answer = made.fresh().get(path, headers={**PAGE, "accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert answer.text.count("<h1") == 1
    assert "style=" not in answer.text


def test_the_models_in_charge_are_told_and_nothing_of_patients_or_places(made: Made) -> None:
    made.predicted(patient="P-SECRET")
    text = made.fresh().get("/about", headers=PAGE).text
    bundle = made.service.pool.first()
    assert bundle is not None
    recipe = bundle.bundle.recipe
    assert recipe.question in text
    assert MODALITIES[recipe.input.modality] in text
    assert all(name in text for name in recipe.target.classes)
    assert INTENDED_USE in text
    for secret in ("P-SECRET", str(bundle.bundle.path), "Inside", "Outside", made.ids["reader"]):
        assert secret not in text


def test_without_an_evaluation_the_page_says_so_and_with_one_it_has_its_figures(tmp_path: Path) -> None:
    with other(tmp_path) as found:
        assert "No evaluation lies beside this model" in found.fresh().get("/about", headers=PAGE).text
    bundle = make(tmp_path / "more", unit="series")
    figure = {"value": 0.91, "interval": [0.82, 0.96], "n": 123, "events": 40, "reason": ""}
    record = {
        "schema": SCHEMA,
        "optimistic": ["Patients stand on <both> sides."],
        "model": {"bundle": bundle.id},
        "facts": {"positive": "stroke"},
        "patient": {"classes": {"stroke": {"figures": {"sensitivity": figure}}}},
    }
    bundle.path.with_name("bundle.report.json").write_text(json.dumps(record))
    with service(bundle, f"sqlite:///{tmp_path}/more.db", tmp_path / "more") as found:
        text = found.fresh().get("/about", headers=PAGE).text
    assert "No evaluation lies beside" not in text
    assert "Sensitivity" in text
    assert "0.82 – 0.96" in text
    assert "95% interval" in text
    assert ">123<" in text
    assert "Patients stand on &lt;both&gt; sides." in text


def test_without_a_model_in_charge_nothing_is_claimed(tmp_path: Path) -> None:
    with service(None, f"sqlite:///{tmp_path}/i.db", tmp_path) as found:
        assert "No model is in charge" in found.fresh().get("/about", headers=PAGE).text


def test_rules_of_retention_are_told_to_members_alone(made: Made) -> None:
    admin = made.client("admin")
    rule = {"files_days": 365, "predictions_days": None}
    assert admin.put(f"/api/v1/projects/{made.inside}/retention", json=rule).is_success
    stranger = made.fresh().get("/privacy", headers=PAGE).text
    assert "Inside" not in stranger
    assert "365" not in stranger
    member = made.client("reader").get("/privacy", headers=PAGE).text
    assert "Inside" in member
    assert "365 days" in member
    assert "no limit" in member
    assert "Outside" not in member


def test_what_leaves_the_service_is_what_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other(tmp_path) as found:
        assert set(goes_out(found.service).values()) == {False}
        text = found.fresh().get("/privacy", headers=PAGE).text
    assert "not set up here" in text
    assert ">set up here<" not in text
    assert "insula-log-in" not in text
    monkeypatch.setenv("INSULA_ALERT_URL", "https://alerts.example/secret-path")
    monkeypatch.setenv("INSULA_ALERT_HOSTS", "alerts.example")
    monkeypatch.setenv("INSULA_ALERT_SECRET", "whsec_" + "QUJDRA" * 8)
    issuer = {"name": "clinic", "issuer": "https://id.example/r", "audience": "insula", "keys": "https://id.example/k"}
    log_in = {"client_id": "web", "secret": "s3cr3t-s3cr3t", "back": "https://insula.example/back"}
    monkeypatch.setenv("INSULA_ISSUERS", json.dumps([{**issuer, "roles": {"r": "reader"}, "log_in": log_in}]))
    with other(tmp_path / "more") as found:
        out = goes_out(found.service)
        text = found.fresh().get("/privacy", headers=PAGE).text
    assert {name for name, on in out.items() if on} == {"alerts", "issuers", "log_in"}
    assert "__Host-insula-log-in" in text
    for secret in ("secret-path", "alerts.example", "s3cr3t"):
        assert secret not in text
