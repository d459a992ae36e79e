"""The service killed at random moments while it takes, predicts and keeps: what it acknowledged is there, and once."""

from __future__ import annotations

import random
import shutil
import signal
import statistics
import time
from functools import partial
from pathlib import Path

import pytest
from tests.faults.made_killed_load import faults, held_against, load
from tests.faults.made_killed_site import Site, descendants, homes, orphans, site
from tests.faults.made_zygote import SERVING, zygote
from tests.faults.tally import Tally

from insula.serve.store import schema

MODULES = (*SERVING, "tests.faults.made_short_leases")
SIGTERM_EACH = 5  # one end of so many is a SIGTERM


class Kills:
    """Ends of one service, and what was seen at them. lines: one of each, for the log."""

    def __init__(self, here: Site) -> None:
        self.here, self.server = here, here.serve()
        self.ups: list[float] = []
        self.lines: list[str] = []
        self.busy = self.running = self.writing = 0
        self.orphans = self.badly = 0
        self.homes: set[str] = set()
        here.up(self.server)

    def end(self, sign: signal.Signals, busy: int) -> None:
        """End it by a signal, look for its children, and start it again."""
        children = descendants(self.server.pid)
        running = self.here.count(schema.jobs, schema.jobs.c.state == "running")
        self.homes |= homes(self.server.pid)
        begun = time.monotonic()
        code = self.server.kill(sign)
        self.badly += code != (0 if sign == signal.SIGTERM else -sign)
        self.busy += bool(busy)
        self.running += bool(running)
        left = orphans(children)
        self.orphans += bool(left)
        again = time.monotonic()
        self.server = self.here.serve()
        self.ups.append(self.here.up(self.server))
        self.lines.append(
            f"{sign.name} exit {code}, {busy} requests and {running} jobs under way, {len(children)} children, "
            f"{len(left)} of them left, ended in {again - begun:.3f} s, answered {self.ups[-1]:.3f} s after its start"
        )

    def close(self) -> None:
        """End it in good order."""
        self.badly += self.server.kill(signal.SIGTERM) != 0


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [60])
def test_a_service_that_is_killed_while_it_works(tmp_path: Path, tally: Tally, kills: int) -> None:
    draw = random.Random(12)
    with zygote(*MODULES) as source, site(tmp_path / "site", source) as here:
        ends = Kills(here)
        with load(here, 100_000) as ledger:
            for number in range(kills):
                here.until(partial(ledger.more, ledger.answers), "an answer")
                time.sleep(draw.uniform(0.0, 1.5))
                here.spared()
                ends.end(signal.SIGTERM if number % SIGTERM_EACH == SIGTERM_EACH - 1 else signal.SIGKILL, ledger.busy)
        ends.close()
        found = held_against(here, ledger)
        left = here.left(ends.homes)
        said = faults((here.folder / "server.log").read_text())
        studies, predictions = len(ledger.studies), len(ledger.predictions)
    tally.log("server.txt").write_text("\n".join([*ends.lines, *said, *found.wrong, *left]) + "\n")
    shutil.copyfile(tmp_path / "site/server.log", tally.log("server.log"))
    tally.tried(
        "the service ended while clients upload, predict and review: kill -9, one in five a SIGTERM; then started",
        kills,
        lost=found.lost,
        doubled=found.doubled,
        leaked=ends.orphans + bool(left),
        crashed=ends.badly + len(said),
        failed=len(found.wrong),
        figures={
            "studies": studies,
            "predictions": predictions,
            "ends with requests under way": ends.busy,
            "with a job under way": ends.running,
            "from the start to the first answer, median s": statistics.median(ends.ups),
            "longest s": max(ends.ups),
        },
    )
    assert ends.homes
    assert (studies, predictions, bool(ledger.plain)) == (len(ledger.jobs), studies, True)
