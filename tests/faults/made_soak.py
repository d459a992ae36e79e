"""The traffic of a working day: uploads, predictions, reviews, pages, plain predictions and bad requests, in turn."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.made_clients import Line, Said, form
from tests.faults.made_scans import slices
from tests.faults.made_serving import Serving, State

JSON = (("Content-Type", "application/json"),)
PLACES = (
    "/worklist",
    "/history",
    "/queue",
    "/upload",
    "/api/v1/studies",
    "/api/v1/predictions",
    "/api/v1/jobs",
    "/metrics",
)


@dataclass(eq=False)
class Traffic:
    """What was asked, and what was acknowledged. studies: answer by study's id. errors: what should not have been."""

    site: Serving
    expected: Mapping[int, Mapping[str, float]]
    studies: dict[str, str] = field(default_factory=dict)
    reviews: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    sent_away: int = 0
    wrong: int = 0

    async def flow(self, until: float, clients: int, pause: float) -> None:
        """Clients that go on until then, on the clock of `time.monotonic`."""
        await asyncio.gather(*(self._client(number, until, pause) for number in range(clients)))

    async def _client(self, number: int, until: float, pause: float) -> None:
        line, draw, turn = Line(self.site.port), random.Random(number), 0
        while time.monotonic() < until:
            turn += 1
            try:
                await self._turn(line, draw, f"L-{number}-{turn}")
            except (OSError, EOFError, TimeoutError, AssertionError, KeyError) as error:
                self.errors.append(f"{type(error).__name__}: {str(error)[:200]}")
            await asyncio.sleep(pause * draw.uniform(0.5, 1.5))
        line.close()

    async def _turn(self, line: Line, draw: random.Random, patient: str) -> None:
        scan = draw.choice(sorted(self.expected))
        await self._study(line, scan, patient)
        body, kind = form(slices(scan))
        plain = await self._ask(line, "plain predictions", "POST", "/predict", body, kind)
        self.wrong += self._differs(scan, plain.json()["probabilities"])
        for place in draw.sample(PLACES, 3):
            await self._ask(line, "pages", "GET", place, role="admin" if place == "/metrics" else "reviewer")
        bad, kind = form([draw.randbytes(200)])
        refused = await line.ask("POST", "/predict", bad, (*kind, *self.site.bearer()))
        self.asked["bad requests"] += 1
        assert refused.status in (400, 415, 422, 503), refused.status

    async def _study(self, line: Line, scan: int, patient: str) -> None:
        body, kind = form(slices(scan), "files", {"project": self.site.project, "patient": patient})
        study = (await self._ask(line, "uploads", "POST", "/api/v1/studies", body, kind, 201)).json()
        self.studies[study["id"]] = ""
        asked = (*JSON, ("Prefer", "wait=20"))
        place = f"/api/v1/studies/{study['id']}/predictions"
        said = await self._ask(line, "predictions", "POST", place, b"{}", asked, 201, 202)
        while said.status == 202:
            job = (await self._ask(line, "looks at jobs", "GET", said.headers["location"])).json()
            assert job["state"] in ("waiting", "running", "done"), job["state"]
            if job["state"] == "done":
                said = await self._ask(
                    line, "looks at predictions", "GET", f"/api/v1/predictions/{job['result']['prediction']}"
                )
            else:
                await asyncio.sleep(0.2)
        made = said.json()
        self.studies[study["id"]] = made["id"]
        self.wrong += made["study_id"] != study["id"] or self._differs(scan, made["answer"]["probabilities"])
        verdict = {"target": made["answer"]["target"], "verdict": "agree", "signature": "R.", "prediction": made["id"]}
        place = f"/api/v1/studies/{study['id']}/reviews"
        review = await self._ask(line, "reviews", "POST", place, json.dumps(verdict).encode(), JSON, 201)
        self.reviews.append(review.json()["id"])

    async def _ask(
        self,
        line: Line,
        what: str,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Any = (),
        *statuses: int,
        role: str = "reviewer",
    ) -> Said:
        """An answer of one of these statuses, asked for again where the service has no place now."""
        while True:
            said = await line.ask(method, path, body, (*headers, *self.site.bearer(role)))
            self.asked[what] += 1
            if said.status != 503:
                break
            self.sent_away += 1
            await asyncio.sleep(min(2.0, float(said.headers["retry-after"])))
        assert said.status in (statuses or (200,)), f"{what}: {said.status} {said.body[:120]!r}"
        return said

    def _differs(self, scan: int, found: Mapping[str, float]) -> bool:
        right = self.expected[scan]
        return right.keys() != found.keys() or any(abs(right[name] - found[name]) > 1e-5 for name in right)


def warm(site: Serving, threads: int = 44) -> None:
    """Let the service make all the threads and connections to its records that it will ever keep."""

    async def ask() -> None:
        lines = [Line(site.port) for _ in range(threads)]
        await asyncio.gather(*(one.ask("GET", "/api/v1/studies", headers=site.bearer()) for one in lines))
        for one in lines:
            one.close()

    for _ in range(3):
        asyncio.run(ask())


def flat(states: list[State], seconds: float) -> tuple[dict[str, float], list[str]]:
    """How what a process holds changed between the second and the last quarter, and what grew by more than it may.

    states: at even distances, seconds in all.
    """
    quarter = max(1, len(states) // 4)
    early, late = states[quarter : 2 * quarter] or states, states[-quarter:]
    figures, grown = {}, []
    for name, most in (("resident", 24 << 20), ("threads", 8.0), ("files", 24.0), ("processes", 1.0)):
        before, after = (sorted(getattr(one, name) for one in part)[len(part) // 2] for part in (early, late))
        if after - before > most + (0.05 * before if name == "resident" else 0.0):
            grown.append(f"{name}: {before} to {after}")
        scale = 1 << 20 if name == "resident" else 1
        said = "memory, MB" if name == "resident" else name
        figures[f"{said}, early"], figures[f"{said}, late"] = before / scale, after / scale
        if name == "resident":
            figures["memory, MB an hour"] = 3600 * (after - before) / scale / max(seconds / 2, 1.0)
    return figures, grown
