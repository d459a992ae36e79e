"""Many clients with different scans at once: each gets the answer of its own scan, as if nobody else were there."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.live import Live, live
from tests.faults.made_clients import Line, form
from tests.faults.made_scans import slices, written
from tests.faults.tally import Tally, sizes
from tests.pacs.orthanc import free_port
from tests.pacs.site import Hospital, hospital, storescu, until
from tests.tiny_bundle import make

from insula.serve.store import schema

pytestmark = pytest.mark.serve
SAME = 1e-5
JSON = (("Content-Type", "application/json"),)
Answers = dict[int, dict[str, float]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with records that takes cases of several requests together, as a GPU would make it."""
    folder = tmp_path_factory.mktemp("answers")
    with live(folder, make(folder, unit="series"), queue=1024) as found:
        batched(found)
        yield found


def batched(site: Live) -> Any:
    """The batcher of the only model, told that batches are worth it."""
    (model,) = site.made.service.pool.all()
    model.batcher.most, model.batcher.budget = 16, 0.05
    return model.batcher


def port_of(site: Live) -> int:
    """Where it listens."""
    return int(site.address.rpartition(":")[2])


async def plainly(site: Live, number: int) -> dict[str, float]:
    """What /predict says of a scan, by class."""
    line, (body, kind) = Line(port_of(site)), form(slices(number))
    said = await line.ask("POST", "/predict", body, (*kind, *bearer(site)))
    line.close()
    assert said.status == 200, said.body
    found: dict[str, float] = said.json()["probabilities"]
    return found


async def through_a_job(site: Live, number: int) -> dict[str, float]:
    """What a prediction of an uploaded study says."""
    line, shown = Line(port_of(site)), bearer(site)
    fields = {"project": site.made.inside, "patient": f"L-{number}"}
    body, kind = form(slices(number), "files", fields)
    study = await line.ask("POST", "/api/v1/studies", body, (*kind, *shown))
    assert study.status in (200, 201), study.body
    asked = f"/api/v1/studies/{study.json()['id']}/predictions"
    said = await line.ask("POST", asked, b"{}", (*JSON, *shown, ("Prefer", "wait=60")))
    while said.status == 202:
        job = (await line.ask("GET", said.headers["location"], headers=shown)).json()
        assert job["state"] in ("waiting", "running", "done"), job
        if job["state"] == "done":
            said = await line.ask("GET", f"/api/v1/predictions/{job['result']['prediction']}", headers=shown)
    line.close()
    assert said.json()["study_id"] == study.json()["id"]
    found: dict[str, float] = said.json()["answer"]["probabilities"]
    return found


def bearer(site: Live) -> tuple[tuple[str, str], ...]:
    """The header of a reviewer's key."""
    return (("Authorization", f"Bearer {site.key('reviewer')}"),)


def alone(site: Live, count: int) -> Answers:
    """The answers of scans that come one after the other; no two may be taken for each other."""
    found = {number: asyncio.run(plainly(site, number)) for number in range(count)}
    values = [tuple(answer.values()) for answer in found.values()]
    assert all(values), "a scan without an answer says nothing about whose it is"
    near = sum(apart(one, other) <= 2 * SAME for k, one in enumerate(values) for other in values[:k])
    assert near == 0, f"{near} pairs of scans have the same answer"
    return found


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The largest difference of two answers."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def differing(right: Answers, found: Mapping[int, Mapping[str, float]]) -> tuple[int, float]:
    """How many answers are not their own, and the largest difference."""
    gaps = [apart(tuple(right[n].values()), tuple(found[n].get(c, 9.0) for c in right[n])) for n in found]
    return sum(gap > SAME for gap in gaps), max(gaps)


@sizes("size", (12, 1), (64, 30))
@pytest.mark.parametrize("way", ["plain", "job"])
def test_every_answer_is_its_own(tally: Tally, site: Live, size: tuple[int, int], way: str) -> None:
    count, rounds = size
    right, batcher = alone(site, count), batched(site)
    calls, cases, wrong, gap, tried = batcher.calls, batcher.cases, 0, 0.0, 0
    ask = plainly if way == "plain" else through_a_job

    async def together() -> Answers:
        found = await asyncio.gather(*(ask(site, number) for number in range(count)))
        return dict(enumerate(found))

    for number in range(rounds if way == "plain" else max(1, rounds // 10)):
        found = asyncio.run(together())
        more, far = differing(right, found)
        wrong, gap, tried = wrong + more, max(gap, far), tried + len(found)
        tally.log(f"{way}-{number}.json").write_text(json.dumps(found))
    made, shared = batcher.calls - calls, batcher.cases - cases
    if way == "plain":
        assert made < shared, "no call held cases of several requests"
    tally.tried(
        f"answers of {count} clients with different scans at once, " + ("plain" if way == "plain" else "through jobs"),
        tried,
        failed=wrong,
        figures={"largest difference": gap, "cases a call of the network": shared / max(1, made)},
    )


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not installed")
def test_every_study_from_scanners_gets_its_own_answer(tally: Tally, tmp_path: Path) -> None:
    count, bundle = 64, make(tmp_path, unit="series")
    rules = json.dumps(
        {"rules": [{"name": "all", "project": "Inside", "model": bundle.recipe.name, "uncertainty": False}]}
    )
    (tmp_path / "slices").mkdir()
    files = {number: written(tmp_path / "slices", number) for number in range(count)}
    with hospital(tmp_path, bundle, free_port(), rules) as site:
        batched(site.live)
        right = alone(site.live, count)
        with ThreadPoolExecutor(8) as scanners:
            list(scanners.map(lambda paths: storescu(site.port, "INSULA", paths), files.values()))
        until(lambda: len(site.rows(schema.predictions)) >= count, "the last answer", site)
        found = of_studies(site)
    wrong, gap = differing(right, found)
    tally.log("node.json").write_text(json.dumps(found))
    tally.tried(
        f"answers to {count} studies that came through the node at once",
        count,
        lost=len(right.keys() - found.keys()),
        doubled=len(site.rows(schema.predictions)) - count,
        failed=wrong,
        figures={"largest difference": gap},
    )


def of_studies(site: Hospital) -> Answers:
    """The kept answers by the number of the scan, of which the study's UID tells."""
    numbers = {row.study_id: int(row.study_uid.rpartition(".")[2]) for row in site.rows(schema.pacs_studies)}
    return {numbers[row.study_id]: row.answer["probabilities"] for row in site.rows(schema.predictions)}
