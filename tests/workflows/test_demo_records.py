"""The records that a demo shows, over a tiny bundle: made once, by the API, and found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from tests.serve.client import dicom
from tests.tiny_bundle import make, parts, recipe, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cohort import table
from insula.cohort.index import survey_cohort
from insula.cohort.phantom.make import make as phantoms
from insula.core.errors import BundleError, InsulaError
from insula.core.recipe import load
from insula.serve.app import create_app
from insula.serve.store.connect import connect
from insula.serve.trail.keys import trail_key
from insula.serve.trail.verify import verify
from insula.workflows.demo_finished import DONE, Finished, finished
from insula.workflows.demo_records import PEOPLE, PROJECT, Records, records
from insula.workflows.demo_scans import Sent, scans_of

pytestmark = pytest.mark.serve


def scans(folder: Path) -> list[Sent]:
    """Two scans that the model takes, and one of another modality."""
    made = []
    for number, modality in enumerate(("CT", "CT", "MR")):
        files = [folder / f"{number}-{slice_}.dcm" for slice_ in (1, 2)]
        for slice_, path in enumerate(files, start=1):
            path.write_bytes(dicom(modality, number=slice_, series=f"1.2.{number}", seed=number))
        made.append(Sent(f"PH-{number}", "Phantom", tuple(files), {"age": "70"}))
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make(tmp_path, unit="series")


def test_first_hour_the_newest_study_is_a_good_one(tmp_path: Path) -> None:
    root = phantoms("haemorrhage-ct", tmp_path / "phantoms", 4, size=64, slices=8)
    cohort = survey_cohort(root, load("haemorrhage-ct")).cohort
    cases = tuple(replace(case, split="test") for case in cohort.cases)
    table.save(replace(cohort, cases=cases, split_level="patient"), tmp_path / "cohort.parquet")
    actions = ["reject", "refer", "accept", "accept"]
    decided = pd.DataFrame({"case": [case.key for case in cases], "action": actions})
    decided.to_parquet(tmp_path / "cases.parquet")
    sent = scans_of(tmp_path, "haemorrhage-ct", tmp_path / "work")
    of = {case.patient: action for case, action in zip(cases, actions, strict=True)}
    found = [of.get(one.patient, "unlike") for one in sent]
    assert found == ["unlike", "unlike", "reject", "refer", "accept", "accept"]


def made_in(tmp_path: Path, bundle: Bundle, said: list[str]) -> Records:
    def chosen() -> Sequence[Sent]:
        said.append("asked for scans")
        return scans(tmp_path)

    return records(tmp_path / "service", bundle, 0, chosen, said.append)


def signed_in(found: Records, name: str) -> TestClient:
    client = TestClient(create_app(found.settings), base_url="https://127.0.0.1")
    answer = client.post("/api/v1/session", json={"name": name, "password": found.password})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


def test_people_can_log_in_and_find_answers_a_review_and_a_scan_that_was_refused(
    tmp_path: Path, bundle: Bundle
) -> None:
    said: list[str] = []
    found = made_in(tmp_path, bundle, said)
    assert len(found.password) >= 16
    assert found.password not in repr(found)
    for name, (role, _) in PEOPLE.items():
        me = signed_in(found, name).get("/api/v1/session").json()
        assert me["role"] == role
    client = signed_in(found, "ben")
    (project,) = client.get("/api/v1/projects").json()["items"]
    assert project["name"] == PROJECT
    history = client.get("/api/v1/predictions").json()["items"]
    assert {row["patient_key"] for row in history} == {"PH-0", "PH-1"}
    assert sum(row["reviewed"] for row in history) == 1
    jobs = client.get("/api/v1/jobs").json()["items"]
    assert sorted(job["state"] for job in jobs) == ["done", "done", "failed"]
    reader = signed_in(found, "cleo")
    uploader = client.get("/api/v1/studies").json()["items"][0]["created_by"]
    assert uploader == reader.get("/api/v1/session").json()["id"]
    assert "1 scans that the model does not take" in said[-1]


def test_the_trail_tells_how_it_was_made_and_its_secret_is_its_owners_alone(tmp_path: Path, bundle: Bundle) -> None:
    found = made_in(tmp_path, bundle, [])
    assert found.key_file.stat().st_mode & 0o077 == 0
    assert found.key_file.parent.stat().st_mode & 0o077 == 0
    engine = connect(found.settings.database)
    verdict = verify(engine, trail_key(found.settings), "")
    engine.dispose()
    assert verdict.holds
    entries = signed_in(found, "ada").get("/api/v1/trail?limit=200").json()["items"]
    actions = [(one["actor"], one["action"]) for one in reversed(entries)]
    for wanted in (
        ("demo", "project.create"),
        ("demo", "user.create"),
        ("cleo", "study.create"),
        ("cleo", "prediction.ask"),
        ("cleo", "prediction.create"),
        ("ben", "review.write"),
    ):
        assert wanted in actions


def test_what_was_made_is_found_again_and_nothing_is_made_twice(tmp_path: Path, bundle: Bundle) -> None:
    said: list[str] = []
    first = made_in(tmp_path, bundle, said)
    content = {
        path: path.read_bytes() for path in (tmp_path / "service").rglob("*") if path.suffix in (".key", ".json")
    }
    count = len(said)
    again = made_in(tmp_path, bundle, said)
    assert again.password == ""
    assert again.settings == first.settings
    assert len(said) == count
    assert all(path.read_bytes() == held for path, held in content.items())


def test_what_was_broken_off_or_belongs_to_another_model_is_made_anew(tmp_path: Path, bundle: Bundle) -> None:
    def fails() -> Sequence[Sent]:
        raise InsulaError("no scans today")

    with pytest.raises(InsulaError, match="no scans today"):
        records(tmp_path / "service", bundle, 0, fails, lambda _: None)
    found = made_in(tmp_path, bundle, [])
    assert found.password
    other = save(tmp_path / "other" / "bundle", parts(recipe(unit="series"), weights(1, 2, seed=2)))
    anew = made_in(tmp_path, other, [])
    assert anew.password not in ("", found.password)
    models = signed_in(anew, "ada").get("/api/v1/models").json()
    assert [one["bundle_id"] for one in models] == [other.id]


def test_a_demo_counts_as_finished_when_it_says_so_for_this_recipe(tmp_path: Path, bundle: Bundle) -> None:
    assert finished(tmp_path, "stroke-ct") is None
    (tmp_path / DONE).write_text('{"recipe": "stroke-ct"}')
    assert finished(tmp_path, "stroke-ct") == Finished(tmp_path, "stroke-ct", bundle.path, tmp_path / "report.html")
    assert finished(tmp_path, "clot-origin") is None
    for broken in ("", "[]", "{", '{"patients": 3}'):
        (tmp_path / DONE).write_text(broken)
        assert finished(tmp_path, "stroke-ct") is None
    (tmp_path / DONE).write_text('{"recipe": "stroke-ct"}')
    (bundle.path / "manifest.json").unlink()
    with pytest.raises(BundleError, match="make it anew"):
        finished(tmp_path, "stroke-ct")
