from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert

from insula import __version__
from insula.metrics.intervals import Figure
from insula.serve.monitor import metrics
from insula.serve.monitor.drift import Channel
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import alerts, jobs, now

pytestmark = pytest.mark.serve

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def found_in(name: str, verdict: str = "pass") -> Channel:
    return Channel(name, verdict, 1.5, 2.0, 2.3, 0.4, 70, None, "first served cases", 20, 0.1, 0.2)  # type: ignore[arg-type]


def test_requests_are_counted_by_template_method_and_status_and_timed() -> None:
    meter = metrics.meter(["/api/v1/studies/{study}"])
    for status in (200, 200, 404):
        metrics.observe_request(meter, "GET", "/api/v1/studies/{study}", status, 0.2)
    found = samples(metrics.exposition(meter))
    route = "/api/v1/studies/{study}"
    assert value(found, "insula_requests_total", method="GET", route=route, status="200") == 2
    assert value(found, "insula_requests_total", method="GET", route=route, status="404") == 1
    assert value(found, "insula_request_seconds_count", route=route) == 3
    assert value(found, "insula_request_seconds_bucket", route=route, le="0.1") == 0
    assert value(found, "insula_request_seconds_bucket", route=route, le="0.25") == 3


def test_nothing_that_a_request_brings_becomes_a_label() -> None:
    meter = metrics.meter(["/health"])
    for i in range(300):
        metrics.observe_request(meter, f"GE{i}", f"/patients/Anna-{i}", 1000 + i, 0.1)
        metrics.observe_refused(meter, f"Anna {i}")
        metrics.observe_prediction(meter, "tiny", f"Anna-{i}", f"Anna {i}", 0.1)
    text = metrics.exposition(meter)
    assert b"Anna" not in text
    found = samples(text)
    assert value(found, "insula_requests_total", method="other", route="(none)", status="other") == 300
    assert value(found, "insula_refused_total", code="other") == 300
    assert value(found, "insula_predictions_total", action="other", model="tiny", arm="other") == 300


def test_there_is_a_bound_to_the_number_of_models_and_of_codes() -> None:
    meter = metrics.meter([])
    for i in range(500):
        metrics.observe_prediction(meter, f"model {i}", "main", "accept", 0.1)
        metrics.observe_refused(meter, f"code_{i}")
    metrics.observe_prediction(meter, "model 3", "main", "accept", 0.1)
    found = samples(metrics.exposition(meter))
    models = {dict(labels)["model"] for name, labels in found if name == "insula_predictions_total"}
    codes = {dict(labels)["code"] for name, labels in found if name == "insula_refused_total"}
    assert (len(models), len(codes)) == (51, 101)
    assert value(found, "insula_predictions_total", action="accept", model="model 3", arm="main") == 2
    assert value(found, "insula_predictions_total", action="accept", model="other", arm="main") == 450


def test_queue_drift_accuracy_and_version_are_told() -> None:
    meter = metrics.meter([])
    metrics.set_queue(meter, 3, 9)
    metrics.set_drift(meter, "tiny", [found_in("distance"), found_in("score/stroke", "fail")])
    metrics.set_accuracy(meter, "tiny", Figure(0.9, (0.8, 0.95), "", 40, 40, 36))
    metrics.set_accuracy(meter, "new", Figure(math.nan, None, "", 0, 0, 0, "none"))
    found = samples(metrics.exposition(meter))
    assert value(found, "insula_queue_depth") == 3
    assert value(found, "insula_queue_places") == 9
    assert value(found, "insula_drift_statistic", model="tiny", channel="distance") == 1.5
    assert value(found, "insula_drift_limit", model="tiny") == 2.3
    assert value(found, "insula_drift_found", model="tiny", channel="distance") == 0
    assert value(found, "insula_drift_found", model="tiny", channel="score/stroke") == 1
    assert value(found, "insula_drift_cases", model="tiny", channel="distance") == 70
    assert value(found, "insula_review_accuracy", model="tiny", bound="low") == 0.8
    assert math.isnan(value(found, "insula_review_accuracy", model="new", bound="estimate"))
    assert [dict(labels)["version"] for name, labels in found if name == "insula_build_info"] == [__version__]


def test_jobs_and_open_alerts_are_those_of_the_records_now(records: Engine) -> None:
    meter = metrics.meter([])
    with writing(records) as connection:
        connection.execute(insert(jobs), [{"kind": "predict", "state": s} for s in ("waiting", "waiting", "failed")])
        connection.execute(insert(alerts).values(kind="drift", message="m"))
        connection.execute(insert(alerts).values(kind="queue_full", message="m", closed_at=now()))
    with reading(records) as connection:
        found = samples(metrics.exposition(meter, connection))
    assert value(found, "insula_jobs", state="waiting") == 2
    assert value(found, "insula_jobs", state="failed") == 1
    assert value(found, "insula_alerts_open", kind="drift") == 1
    assert ("insula_alerts_open", (("kind", "queue_full"),)) not in found
    with writing(records) as connection:
        connection.execute(jobs.delete())
        assert "insula_jobs{" not in metrics.exposition(meter, connection).decode()


def test_traffic_tells_failures_from_a_full_queue_and_two_states_apart() -> None:
    meter = metrics.meter(["/predict"])
    metrics.observe_request(meter, "POST", "/predict", 500, 0.1)
    before = metrics.traffic(meter)
    assert before == metrics.Traffic(1, 1, 0)
    for status in (200, 422, 503, 503, 502):
        metrics.observe_request(meter, "POST", "/predict", status, 0.1)
    assert metrics.traffic(meter).since(before) == metrics.Traffic(5, 1, 2)


def test_two_meters_do_not_share_their_counts() -> None:
    one, other = metrics.meter([]), metrics.meter([])
    metrics.observe_refused(one, "busy")
    assert "insula_refused_total{" not in metrics.exposition(other).decode()
