"""Decoding processes killed and stopped at random moments: the service lives, and nothing that it took is lost."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from tests.faults.made_killed_load import faults, held_against, load
from tests.faults.made_killed_site import descendants, orphans, site, slices
from tests.faults.made_zygote import SERVING, zygote
from tests.faults.tally import Tally, sizes

from insula.client.errors import RemoteError
from insula.core.errors import InsulaError
from insula.scans.sandbox import Sandbox
from insula.serve.store import schema

_PASSING = {"decoder_killed"}  # an upload whose decoder was killed twice is refused, and sent again
MODULES = (*SERVING, "tests.faults.made_short_leases")


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [100])
def test_decoders_of_the_service_are_killed(tmp_path: Path, tally: Tally, kills: int) -> None:
    draw = random.Random(33)
    done = stopped = 0
    with zygote(*MODULES) as source, site(tmp_path / "site", source) as here:
        server = here.serve()
        here.up(server)
        with load(here, 100_000, allowed=_may_pass) as ledger:
            while done < kills and not ledger.refused:
                here.until(partial(ledger.more, ledger.answers), "an answer")
                time.sleep(draw.uniform(0.0, 0.4))
                assert server.poll() is None, server.said()
                here.spared()
                children = sorted(descendants(server.pid))
                if not children:
                    continue
                pid = draw.choice(children)
                with contextlib.suppress(ProcessLookupError):
                    if done % 5 == 4:
                        os.kill(pid, signal.SIGSTOP)
                        time.sleep(draw.uniform(0.0, 1.0))
                        os.kill(pid, signal.SIGCONT)
                        stopped += 1
                    else:
                        os.kill(pid, signal.SIGKILL)
                    done += 1
        last = descendants(server.pid)
        code = server.kill(signal.SIGTERM)
        left = orphans(last)
        found, temporary = held_against(here, ledger), here.left()
        said = faults((here.folder / "server.log").read_text())
        again = sum(row.attempts > 1 for row in here.rows(schema.jobs))
    tally.log("decoder.txt").write_text("\n".join([*said, *found.wrong, *temporary]) + "\n")
    shutil.copyfile(tmp_path / "site/server.log", tally.log("server.log"))
    tally.tried(
        "a decoding process of the service killed (-9), one in five stopped and let go on, while clients use it",
        done,
        lost=found.lost,
        doubled=found.doubled,
        leaked=len(left) + bool(temporary),
        crashed=(code != 0) + len(said),
        failed=len(found.wrong),
        figures={"studies": len(ledger.studies), "stopped": stopped, "jobs tried again": again},
    )
    assert len(ledger.predictions) == len(ledger.studies) > 0


@sizes("kills", 2, 100, 1800)
def test_a_scan_is_read_though_its_decoder_is_killed(tmp_path: Path, tally: Tally, kills: int) -> None:
    """One kill a scan, within its reading or before; the scan's values are those of an undisturbed reading."""
    draw = random.Random(34)
    place = slices(tmp_path / "scan", 1, count=4)
    wrong: list[str] = []
    with Sandbox(1) as box:
        whole = box.read(place).array.tobytes()
        begun = time.monotonic()
        for _ in range(3):
            box.read(place)
        took = (time.monotonic() - begun) / 3
        for number in range(kills):
            (one,) = box._all
            killer = threading.Timer(draw.uniform(0.0, 1.5 * took), one._process.kill)
            killer.start()
            try:
                if box.read(place).array.tobytes() != whole:
                    wrong.append(f"{number}: other values")
            except InsulaError as error:
                wrong.append(f"{number}: {error}")
            killer.join()
            box.read(place)
    tally.log("reading.txt").write_text("\n".join(wrong) + "\n")
    tally.tried("a decoding process killed (-9) while it reads a scan", kills, failed=len(wrong))


def _may_pass(error: RemoteError) -> bool:
    return error.code in _PASSING
