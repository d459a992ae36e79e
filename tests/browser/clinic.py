"""A service in use, so that no page is empty: cases of every outcome, a review, an opened glass, a second model."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import insert
from tests.browser.made_bundle import CLASSES
from tests.browser.site import Site
from tests.client.live import series
from tests.report import made_audit, made_report
from tests.serve.api.made import PASSWORD
from tests.serve.monitor.made_records import Made as Rows
from tests.serve.pacs.made_arrived import arrived
from tests.serve.training.made_run import made as run

from insula.client.errors import JobFailedError
from insula.report.record import described
from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.monitor import kept
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import writing
from insula.serve.store.schema import now

QUESTION = "haemorrhage"
RUN = "study/member-0"
LOSSES = (0.69, 0.58, 0.51, 0.47, 0.49)


@dataclass(frozen=True, eq=False)
class Clinic:
    """studies: what a case shows → its study. places: what fills the addresses of pages, by its name in the route."""

    site: Site
    studies: dict[str, str]
    places: dict[str, str]


def furnish(site: Site, folder: Path, runs: Path) -> Clinic:
    """Make the cases and everything around them. folder: of the models that may be added; runs: of training runs."""
    run(runs, RUN, LOSSES, facts={"epochs": len(LOSSES), "machine": "2 cores"})
    made = site.live.made
    admin = made.client("admin")
    (second,) = [one.name for one in folder.iterdir() if one.is_dir()]
    added = _ok(admin.post("/api/v1/models", json={"name": second}))
    _ok(admin.put(f"/api/v1/models/{added['bundle_id']}/state", json={"state": "shadow"}))
    studies = {
        "accepted": site.case("ACCEPTED", 1.0, name="Adler, Ida").study_id,
        "referred": site.case("REFERRED", 0.45, name="Brandt, Otto").study_id,
        "normal": site.case("NORMAL", 0.0, name="Clarke, Ann").study_id,
    }
    overridden = site.case("REVIEWED", 1.0, name="Diaz, Luz")
    with site.client() as client:
        client.review(
            overridden.study_id, QUESTION, "override", "Rita Reviewer", prediction=overridden, label="normal",
            comment="Calcification of the choroid plexus.",
        )  # fmt: skip
        unread = client.upload(site.scan("UNREAD"), made.inside, "UNREAD", patient_name="Evans, Tom")
        refused = client.upload(series(site.folder / "scans" / "MR", modality="MR"), made.inside, "REFUSED")
        with suppress(JobFailedError):  # the model takes no MR
            client.predict_study(refused)
    studies |= {"reviewed": overridden.study_id, "unread": unread.id, "refused": refused.id}
    site.person("locum", "reader", made.outside)
    _ok(
        _entered(site, "locum").post(
            f"/api/v1/studies/{unread.id}/glass", json={"reason": "Called in at night to give a second opinion."}
        )
    )
    first = _judged(site)
    watched(made.service, first, QUESTION, CLASSES)
    _over_the_network(site, studies["accepted"], site.cases["ACCEPTED"].id)
    places = {"bundle_id": first, "other": added["bundle_id"], "run": RUN, "name": "reading"}
    places["prediction_id"] = site.cases["ACCEPTED"].id
    return Clinic(site, studies, {**places, "user_id": made.ids["reader"], "project_id": made.inside})


def _over_the_network(site: Site, study: str, prediction: str) -> None:
    """What came in over the network in every state, and an answer that one peer took and another did not."""
    made, at = site.live.made, now()
    told = {"code": "no_project", "message": "There is no project 'Hands', which the rules name."}
    with writing(made.service.records) as connection:
        arrived(connection, "1.2.840.1", project_id=made.inside, study_id=study, series=(28,))
        arrived(connection, "1.2.840.2", "failed", project_id=made.inside, error=told)
        arrived(connection, "1.2.840.3", "unrouted", description="Knee", series=(1, 2))
        arrived(connection, "1.2.840.4", "receiving")
        connection.execute(insert(schema.pacs_deliveries).values(prediction_id=prediction, peer="archive", objects=3))
        for kind, payload, error in (
            ("pacs_send", {"prediction": prediction, "peer": "his", "objects": ["report"]}, "'his' does not answer."),
            ("pacs_pull", {"peer": "archive", "study_uid": "1.2.840.5"}, "'archive' knows no INSULA."),
        ):
            of = study if kind == "pacs_send" else None
            queue.put(connection, Wanted(kind, payload, study_id=of, created_by=made.ids["admin"]), at)
            job = queue.claim(connection, "made", [kind], at, timedelta(minutes=1))
            assert job is not None
            queue.fail(connection, job, {"code": "peer_unreachable", "message": error}, at, again=False)


def _judged(site: Site) -> str:
    """Lay an evaluation and an audit beside the bundle in charge; its id."""
    bundle = site.live.made.service.pool.all()[0].bundle
    held = made_audit.held(made_audit.plain())
    content = {
        "report": {**made_report.record(), "model": described(bundle.recipe, bundle)},
        "audit": {**held, "facts": {**held["facts"], "bundle": bundle.id}},
    }
    for what, one in content.items():
        bundle.path.with_name(f"{bundle.path.name}.{what}.json").write_text(json.dumps(one), encoding="utf-8")
    return bundle.id


def watched(service: Service, bundle_id: str, question: str, classes: tuple[str, str]) -> None:
    """Ninety answers and their reviews in another project, the later scans unlike the model's own, and an alert."""
    normal, finding = classes
    known = kept.reference(service.pool.all()[0].bundle)
    with writing(service.records) as connection:
        rows = Rows(connection)
        readers = rows.user("first reader"), rows.user("second reader")
        for k in range(90):
            study = rows.study()
            rows.prediction(
                study,
                at=now() - timedelta(days=90 - k),
                bundle_id=bundle_id,
                label=finding if k % 3 else normal,
                action="refer" if k % 9 == 0 else "accept",
                milliseconds=100.0 + k,
                monitored={"distance": float(known.distances[k % 40]) if k < 30 else 9.0 + k / 100},
            )
            if k % 2:
                rows.review(study, readers[0], finding if k % 5 else normal, target=question)
            if k % 10 == 1:
                rows.review(study, readers[1], finding if k > 20 else normal, target=question)
        alert = {"kind": "drift", "bundle_id": bundle_id, "message": "The distance from the training cases moved."}
        connection.execute(insert(schema.alerts).values(**alert))


def _entered(site: Site, name: str) -> TestClient:
    one = site.live.made.fresh()
    answer = one.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    one.headers["X-CSRF-Token"] = _ok(answer)["csrf"]
    return one


def _ok(answer: Any) -> dict[str, Any]:
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found
