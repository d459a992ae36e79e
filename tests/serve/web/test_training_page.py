"""The pages of training runs, and the route that their curves come from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tests.serve.api.made import Made, service
from tests.serve.training.made_run import BEGUN, put
from tests.serve.training.made_run import made as run
from tests.serve.web.reading import read
from tests.tiny_bundle import make

from insula.serve.web.language import gettext_of
from insula.serve.web.training_page import span

pytestmark = pytest.mark.serve
API = "/api/v1/training"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service that is told of a folder with runs."""
    folder = Path(tmp_path_factory.mktemp("training"))
    run(
        folder / "runs",
        "study/member-0",
        [0.5, 0.3, float("nan")],
        facts={"epochs": 3, "machine": "4 cores", "salt": "s"},
    )
    run(folder / "runs", "<new> run", [])
    odd = run(folder / "runs", "odd", [0.5])
    put(odd / "curves" / "metrics.csv", "epoch,val_loss\n0," + "1" * 200_000, BEGUN)
    with service(make(folder, unit="series"), f"sqlite:///{folder}/insula.db", folder, runs=folder / "runs") as made:
        yield made


def test_the_list_says_how_far_each_run_is(trained: Made) -> None:
    page = read(trained.client("admin"), "/training")
    rows = {row[0]: row[1:5] for row in page.rows}
    assert rows["study/member-0"] == ["done", "tiny-ct", "3 / 6", "0.3000 (epoch 2)"]
    assert rows["<new> run"] == ["stopped", "tiny-ct", "0 / 6", "–"]
    assert "curves/metrics.csv cannot be read" in rows["odd"][0]
    assert "/training/study/member-0" in page.links
    assert "/training/%3Cnew%3E%20run" in page.links


def test_a_run_has_a_page_with_its_values_as_a_table(trained: Made) -> None:
    admin = trained.client("admin")
    page = read(admin, "/training/study/member-0")
    assert page.rows == [
        ["3", "–", "–", "0.001", "1"],
        ["2", "0.3", "0.4", "0.001", "1"],
        ["1", "0.5", "0.6", "0.001", "1"],
    ]
    assert "after 6 epochs, or after 2 without a lower validation loss" in page.text
    assert "4 cores" in page.text
    text = admin.get("/training/study/member-0", headers={"Accept": "text/html"}).text
    assert 'id="run">{"columns": ["val_loss", "train_loss", "lr", "stage"], "name": "study/member-0"' in text
    assert "No epoch is over yet" in read(admin, "/training/%3Cnew%3E%20run").text


def test_the_curves_come_as_json_and_what_is_no_number_as_null(trained: Made) -> None:
    admin = trained.client("admin")
    found = admin.get(f"{API}/study/member-0")
    assert found.status_code == 200, found.text
    held = found.json()
    assert (held["state"], held["done"], held["most"], held["best_epoch"], held["since_best"]) == ("done", 3, 6, 2, 1)
    assert held["curve"][0] == {"epoch": 1, "values": {"val_loss": 0.5, "train_loss": 0.6, "lr": 0.001, "stage": 1.0}}
    assert held["curve"][2]["values"]["val_loss"] is None
    assert held["facts"] == {"machine": "4 cores"}, "and nothing that is not to be shown"
    assert datetime.fromisoformat(held["begun_at"]).tzinfo is not None
    listed = admin.get(API).json()
    assert listed["count"] == 3
    assert all(one["curve"] == [] for one in listed["items"])


@pytest.mark.parametrize("name", ["none", "study", "%2e%2e", "%2e%2e%2ffiles", "study%2f..%2f..", "a%5Cb", "n" * 300])
def test_no_address_leads_out_of_the_folder(trained: Made, name: str) -> None:
    assert trained.client("admin").get(f"{API}/{name}").status_code == 404
    read(trained.client("admin"), f"/training/{name}", 404)


@pytest.mark.parametrize("role", ["reader", "reviewer", "auditor"])
def test_only_who_manages_models_sees_runs(trained: Made, role: str) -> None:
    for path in ("/training", "/training/study/member-0"):
        assert "model.manage" in read(trained.client(role), path, 403).alert
    assert trained.client(role).get(f"{API}/study/member-0").status_code == 403


def test_without_a_folder_the_page_says_which_setting_names_one(made: Made) -> None:
    admin = made.client("admin")
    assert "INSULA_RUNS names no folder" in read(admin, "/training").text
    assert "INSULA_RUNS" in read(admin, "/training/run", 404).alert
    assert admin.get(API).json() == {"items": [], "count": 0}


def test_a_folder_that_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    with service(make(tmp_path, unit="series"), f"sqlite:///{tmp_path}/insula.db", tmp_path, runs=home) as made:
        assert "is not there" in read(made.client("admin"), "/training").text
        home.mkdir()
        assert "There is no training run yet." in read(made.client("admin"), "/training").text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (0, "0 s"), (119, "119 s"), (121, "2 min"), (7100, "118 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_a_span_is_said_in_the_largest_unit_of_which_there_are_two(seconds: float, said: str) -> None:
    assert span(seconds, gettext_of("en")) == said
