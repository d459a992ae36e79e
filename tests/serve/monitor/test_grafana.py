from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from sqlalchemy import Engine, insert
from tests.serve.monitor.test_metrics import found_in, samples

from insula.metrics.intervals import Figure
from insula.serve.monitor import metrics
from insula.serve.store.connect import writing
from insula.serve.store.schema import alerts, jobs

pytestmark = pytest.mark.serve

DASHBOARD: dict[str, Any] = json.loads(files("insula.serve.monitor").joinpath("grafana.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
_SELECTED = re.compile(r"(insula_\w+)\{([^}]*)\}")


@pytest.fixture
def labels(records: Engine) -> dict[str, set[str]]:
    """Every series of a meter in full use, with its labels."""
    meter = metrics.meter(["/predict"])
    metrics.observe_request(meter, "POST", "/predict", 200, 0.1)
    metrics.observe_refused(meter, "busy")
    metrics.observe_prediction(meter, "tiny", "main", "accept", 0.1)
    metrics.set_queue(meter, 1, 2)
    metrics.set_drift(meter, "tiny", [found_in("distance")])
    metrics.set_accuracy(meter, "tiny", Figure(0.9, (0.8, 0.95), "", 40, 40, 36))
    with writing(records) as connection:
        connection.execute(insert(jobs).values(kind="predict", state="waiting"))
        connection.execute(insert(jobs).values(kind="pacs_send", state="waiting"))
        connection.execute(insert(alerts).values(kind="drift", message="m"))
        text = metrics.exposition(meter, connection)
    return {name: {label for label, _ in found} for name, found in samples(text)}


def test_every_series_and_label_of_the_dashboard_is_exposed(labels: dict[str, set[str]]) -> None:
    for query in QUERIES:
        selected = _SELECTED.findall(query)
        assert selected, query
        assert len(selected) == len(re.findall(r"insula_\w+", query)), query
        for name, selectors in selected:
            assert name in labels, f"{name} of {query}"
            asked = {one.partition("=")[0].rstrip("!") for one in selectors.split(",")} - {"instance"}
            asked |= set(re.findall(r"\w+", ",".join(re.findall(r"by \(([^)]*)\)", query))))
            assert asked <= labels[name] | {"le"}, f"{asked} of {query}"


def test_every_series_is_on_the_dashboard(labels: dict[str, set[str]]) -> None:
    shown = {re.sub(r"_(bucket|total)$", "", name) for query in QUERIES for name, _ in _SELECTED.findall(query)}
    exposed = {re.sub(r"_(bucket|total|count|sum|created)$", "", name) for name in labels}
    assert exposed == shown


def test_panels_have_places_of_their_own_and_ask_the_chosen_source() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own, panel["title"]
        assert max(x for x, _ in own) < 24
        cells |= own
        assert panel["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
