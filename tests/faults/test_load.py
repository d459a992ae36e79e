"""From one client to 256, slow ones, huge bodies, floods of bad ones, lines that only open: the service goes on."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from tests.faults.made_clients import Health, Line, Said, form, head, opened, still_open, watched
from tests.faults.made_serving import PATIENCE, Serving, serving
from tests.faults.tally import Tally, sizes
from tests.serve.client import dicom, png
from tests.tiny_bundle import make

pytestmark = pytest.mark.serve
LATE = 20.0  # seconds after which /health counts as hanging, on a machine that is busy with other things too
GONE = 75.0  # seconds after which a client that does nothing must have been let go of
SCANS = 32


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service without records, which takes 4 MB at most."""
    folder = tmp_path_factory.mktemp("plain")
    with serving(folder, make(folder), MAX_UPLOAD_MB="4") as found:
        assert asyncio.run(crowd(found, 1, 1))[0].status == 200  # its decoders are awake
        yield found


async def crowd(site: Serving, clients: int, each: int, path: str = "/predict") -> list[Said]:
    """So many clients at once, each on a line of its own with one request after the other; all answers."""
    bodies = [form([dicom(seed=number)]) for number in range(min(clients, SCANS))]

    async def one(number: int) -> list[Said]:
        line, (body, headers) = Line(site.port), bodies[number % len(bodies)]
        try:
            return [await line.ask("POST", path, body, (*headers, *site.bearer())) for _ in range(each)]
        finally:
            line.close()

    return [said for found in await asyncio.gather(*map(one, range(clients))) for said in found]


def wrong(said: Said) -> bool:
    """Whether an answer is neither a prediction nor a clear no that says when to come again."""
    if said.status == 200:
        return not said.json()["insula"]["bundle_id"]
    return not (said.status == 503 and said.code == "busy" and int(said.headers["retry-after"]) > 0)


def logged(tally: Tally, name: str, answers: Sequence[Said]) -> None:
    """One line for each answer."""
    lines = [json.dumps({"status": one.status, "seconds": round(one.seconds, 4)}) for one in answers]
    tally.log(f"{name}.jsonl").write_text("\n".join(lines) + "\n")


@sizes("size", ((1, 44), 1), ((1, 2, 4, 8, 16, 32, 64, 128, 256), 8))
def test_any_number_of_clients_gets_an_answer_or_a_clear_no(
    tally: Tally, plain: Serving, size: tuple[tuple[int, ...], int]
) -> None:
    counts, each = size
    for count in counts:
        with watched(plain.port) as seen:
            begun = time.monotonic()
            answers = asyncio.run(crowd(plain, count, each))
            took = time.monotonic() - begun
        logged(tally, f"clients-{count}", answers)
        statuses = Counter(one.status for one in answers)
        assert statuses[200] > 0
        assert count > 32 or not statuses[503], "38 places are there: fewer clients are never sent away"
        tally.tried(
            f"requests of {count} client{'s' if count > 1 else ''} at once",
            len(answers),
            failed=sum(map(wrong, answers)) + len(seen.wrong),
            crashed=seen.late(LATE),
            figures={
                "answered": float(statuses[200]),
                "sent away": float(statuses[503]),
                "answers a second": statuses[200] / took,
                "slowest answer, s": max(one.seconds for one in answers),
                **seen.figures(),
            },
        )


@sizes("size", (1, 21), (200, 64))
def test_a_flood_of_bad_requests_holds_up_no_good_one(tally: Tally, plain: Serving, size: tuple[int, int]) -> None:
    rounds, count = size
    good, headers = form([dicom()])
    bodies = [form([data]) for data in (b"", b"no scan", png()[:40], dicom()[:700], b"\x1f\x8b" + bytes(4000))]
    bad = [(body, kind) for body, kind in bodies] + [(b"{}", (("Content-Type", "application/json"),)), (good, ())]

    async def flood() -> tuple[list[Said], list[Said]]:
        async def one(number: int) -> list[Said]:
            line = Line(plain.port)
            found = [await line.ask("POST", "/predict", *bad[(number + k) % len(bad)]) for k in range(rounds)]
            line.close()
            return found

        async def sender() -> list[Said]:
            line = Line(plain.port)
            found = [await line.ask("POST", "/predict", good, headers) for _ in range(rounds)]
            line.close()
            return found

        *floods, answers = await asyncio.gather(*map(one, range(count)), sender())
        return [said for found in floods for said in found], answers

    with watched(plain.port) as seen:
        refused, answers = asyncio.run(flood())
    logged(tally, "flood", refused)
    tally.tried(
        "bad requests in a flood",
        len(refused),
        failed=sum(not (400 <= one.status < 500 or one.status == 503) or not one.code for one in refused),
        crashed=seen.late(LATE) + len(seen.wrong),
        figures=seen.figures(),
    )
    tally.tried("good requests among a flood of bad ones", len(answers), failed=sum(map(wrong, answers)))


@sizes("count", 8, 128)
def test_huge_bodies_are_refused_before_they_are_read(tally: Tally, plain: Serving, count: int) -> None:
    before, most = plain.state(), 0

    def flowing() -> int:
        """A body without a length, which never ends; how many bytes were taken before the refusal."""
        with socket.create_connection(("127.0.0.1", plain.port), PATIENCE) as line:
            kind = form([])[1][0]
            lines = ["POST /predict HTTP/1.1", "Host: 127.0.0.1", "Transfer-Encoding: chunked", ": ".join(kind)]
            line.sendall("\r\n".join([*lines, "", ""]).encode())
            start = form([b""])[0].rpartition(b"\r\n--")[0]
            line.sendall(b"%x\r\n%s\r\n" % (len(start), start))
            sent, block = 0, b"10000\r\n" + bytes(1 << 16) + b"\r\n"
            while sent < 1 << 30:
                try:
                    line.sendall(block)
                except OSError:
                    break
                sent += 1 << 16
            return sent

    with watched(plain.port) as seen:
        passed = 0
        for number in range(count):
            passed += flowing() > 64 << 20
            most = max(most, plain.state().resident)
            if number % 4 == 0:
                size = 1 << (24 + number % 40)
                with socket.create_connection(("127.0.0.1", plain.port), PATIENCE) as line:
                    line.sendall(head("POST", "/predict", size, form([])[1]))
                    passed += b" 413 " not in line.recv(4096)
    grown = most - before.resident
    tally.tried(
        "bodies above the limit, with and without a length",
        count,
        failed=passed + (grown > 64 << 20),
        crashed=seen.late(LATE) + len(seen.wrong),
        figures={"memory grown, MB": grown / (1 << 20), **seen.figures()},
    )
    assert asyncio.run(crowd(plain, 1, 1))[0].status == 200


@sizes("size", (150, 2), (1500, 25))
def test_lines_that_only_open_keep_nobody_out(tally: Tally, plain: Serving, size: tuple[int, int]) -> None:
    """Half of a request, or nothing at all: more of them than were ever let in at a time."""
    count, each = size
    lines = opened(plain.port, count, b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
    try:
        with watched(plain.port) as seen:
            answers = asyncio.run(crowd(plain, 4, each))
        others(tally, "lines that only open", count, answers, seen)
    finally:
        for one in lines:
            one.close()


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["head", "body", "nothing", "answer"])
def test_slow_clients_are_let_go_of_and_leave_nothing(tally: Tally, plain: Serving, way: str) -> None:
    count, before = 300, plain.state()
    begins = {
        "head": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "body": head("POST", "/predict", 1 << 20, form([])[1]),
        "nothing": b"",
        "answer": b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20,  # and none of the answers is read
    }
    lines = opened(plain.port, count, begins[way])
    begun, left = time.monotonic(), lines
    with watched(plain.port, 0.5) as seen:
        answers = asyncio.run(crowd(plain, 4, 25))
        while left and time.monotonic() - begun < GONE:
            for line in left if way in ("head", "body") else []:  # a byte now and then, as such clients do
                try:
                    line.send(b"a")
                except OSError:
                    continue
            time.sleep(1.0)
            left = still_open(left) if way != "answer" else [one for one in left if _held(plain, before.files)]
    took = time.monotonic() - begun
    for line in lines:
        line.close()
    after = settled(plain, before.files)
    what = {
        "head": "clients that send a head byte by byte",
        "body": "clients that send a body byte by byte",
        "nothing": "clients that open a line and say nothing",
        "answer": "clients that ask and never read",
    }[way]
    tally.tried(
        what,
        count,
        failed=len(left),
        leaked=max(0, after - before.files - 8),
        figures={"all let go of after, s": took},
    )
    others(tally, what, count, answers, seen)


def others(tally: Tally, what: str, lines: int, answers: Sequence[Said], seen: Health) -> None:
    """What became of the requests and the looks at /health of others meanwhile: those can fail, not the lines."""
    tally.tried(
        f"requests of others beside {what}",
        len(answers) + len(seen.seconds),
        failed=sum(one.status != 200 for one in answers),
        crashed=seen.late(LATE) + len(seen.wrong),
        figures={"lines": float(lines), **seen.figures()},
    )


def _held(site: Serving, files: int) -> bool:
    return site.state().files > files + 8


def settled(site: Serving, files: int) -> int:
    """The number of open files once it is near what it was, or after a while."""
    end = time.monotonic() + 30.0
    while _held(site, files) and time.monotonic() < end:
        time.sleep(0.1)
    return site.state().files
