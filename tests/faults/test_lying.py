"""Machines elsewhere that are slow, down or lying: whoever asks gets an error of ours in time, and the rest works."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.faults import made_servers as servers
from tests.faults.made_callers import SERVICE, SHORT, hurry, outcome
from tests.faults.tally import Tally, sizes
from tests.serve.narrative.made_record import full

from insula.core.errors import InsulaError
from insula.serve.narrative.model import Endpoint
from insula.serve.narrative.summary import summarise
from insula.serve.pacs import association, dimse, hl7
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import Query
from insula.serve.pacs.settings import PacsSettings

pytestmark = pytest.mark.serve
_PATIENCE = 60.0  # seconds: far beyond what any of them may take, and far below what a drip would
_ROOM = 900 << 20  # bytes of memory: 24 ask at once, each of whom reads 32 MB at most; a bomb would take far more
ACCEPTABLE = {"AlertError", "RequestError", "PeerAnswerError", "PeerRefusedError", "PeerUnreachableError"}
ANSWERED = {  # answers that say enough: a status is an alert's receipt, a STOW that fails says so itself
    ("alerts", "sends a page"), ("alerts", "sends a bomb"), ("alerts", "sends deep JSON"),
    ("alerts", "sends a number without end"), ("alerts", "drips its body"), ("alerts", "drips chunks"),
    ("alerts", "sends a body without end"), ("alerts", "hangs up halfway"),
    ("a work item", "sends a page"), ("a work item", "drips its body"), ("a work item", "drips chunks"),
    ("a work item", "sends a body without end"), ("a work item", "hangs up halfway"),
    ("a work item", "sends deep JSON"), ("a work item", "sends a number without end"),
    ("a FHIR report", "sends a page"), ("a FHIR report", "sends deep JSON"),
    ("a FHIR report", "sends a number without end"),
    ("an issuer's description", "sends a number without end"), ("an issuer's tokens", "sends a number without end"),
    ("a DICOMweb study", "sends a page"),
}  # fmt: skip


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@sizes("rounds", 1, 12)
def test_whoever_asks_a_liar_has_an_error_of_ours_in_time(
    rounds: int, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    wrong: list[str] = []
    slowest = 0.0
    before = peak()
    with ExitStack() as stack, tally.log("lying.log").open("a") as log:
        open_now = {name: stack.enter_context(servers.serving(does)) for name, does in servers.BEHAVIOURS.items()}

        def tried(one: tuple[str, str, int]) -> tuple[str, str, str, float]:
            caller, behaviour, number = one
            folder = tmp_path / f"{number}-{caller}-{behaviour}".replace(" ", "_")
            folder.mkdir()
            began = time.monotonic()
            found = outcome(SERVICE[caller], open_now[behaviour].port, folder)
            return caller, behaviour, found, time.monotonic() - began

        every = [(c, b, n) for n in range(rounds) for c in SERVICE for b in servers.BEHAVIOURS]
        with ThreadPoolExecutor(24) as pool:  # most of them wait
            for caller, behaviour, found, took in pool.map(tried, every):
                log.write(f"{caller} | {behaviour} | {found} | {took:.2f} s\n")
                slowest = max(slowest, took)
                fine = found in ACCEPTABLE or caller == "the language model" or (caller, behaviour) in ANSWERED
                if not fine or took > _PATIENCE:
                    wrong.append(f"{caller}, who {behaviour}: {found} after {took:.1f} s")
    assert not wrong, wrong
    grown = peak() - before
    assert grown < _ROOM, f"{grown >> 20} MB"
    figures = {"slowest, s (bound 1 s each)": round(slowest, 1), "memory, MB": grown >> 20}
    tally.tried(
        "receivers, issuers, models and archives by HTTP that are slow, down or lying", len(every), figures=figures
    )


def drip(line: socket.socket, over: threading.Event) -> None:
    """The head of a DICOM protocol data unit or an HL7 block, and then a byte now and then."""
    line.sendall(b"\x0b\x02\x00\x00\x00\x10\x00")
    while not over.wait(0.05):
        line.sendall(b"\0")


def flood(line: socket.socket, over: threading.Event) -> None:
    """Bytes without end."""
    while not over.is_set():
        line.sendall(b"\x02\0\0\0\0\4\0\0\0\0" * 5000)


RAW = {"hangs": servers.hang, "drips": drip, "floods": flood, "breaks off": servers.reset, "talks": servers.garbage}


def lines(port: int) -> dict[str, Callable[[], object]]:
    """What is asked by protocols of their own."""
    settings, archive = PacsSettings(), Peer("archive", "dicom", False, "127.0.0.1", port, "ARCHIVE")
    ris = Peer("ris", "hl7", False, "127.0.0.1", port)
    return {
        "a C-ECHO": lambda: dimse.echo(settings, archive),
        "a C-FIND": lambda: dimse.find(settings, archive, Query(limit=5)),
        "a C-GET": lambda: dimse.get(settings, archive, "1.2.3", lambda data: None),
        "an HL7 message": lambda: hl7.deliver(settings, ris, "MSH|^~\\&|I||R|||||7|P|2.5.1\r", "7"),
    }


@sizes("rounds", 1, 8)
def test_a_dicom_or_hl7_peer_that_lies_holds_nobody(rounds: int, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "SECONDS", SHORT)
    monkeypatch.setattr(hl7, "_SECONDS", SHORT)
    wrong, slowest, tried = [], 0.0, 0
    for _ in range(rounds):
        for behaviour, does in RAW.items():
            with servers.serving(does, http=False) as server:
                for name, ask in lines(server.port).items():
                    began, tried = time.monotonic(), tried + 1
                    with pytest.raises(Exception) as caught:  # noqa: PT011 - of which kind is what is looked at
                        ask()
                    took = time.monotonic() - began
                    slowest = max(slowest, took)
                    if not isinstance(caught.value, InsulaError) or took > _PATIENCE:
                        wrong.append(f"{name}, {behaviour}: {caught.value!r} after {took:.1f} s")
    assert not wrong, wrong
    tally.tried(
        "DICOM and HL7 peers that hang, drip, flood or break off", tried, figures={"slowest, s": round(slowest, 1)}
    )


@contextmanager
def names_hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names of `.example` are looked up for as long as the block runs."""
    real: Callable[..., Any] = socket.getaddrinfo
    over = threading.Event()

    def resolver(host: Any, *more: Any, **given: Any) -> Any:
        if (host.decode() if isinstance(host, bytes) else str(host)).endswith(".example"):
            over.wait(_PATIENCE)
            raise socket.gaierror("no such name")
        return real(host, *more, **given)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolver)
        try:
            yield over
        finally:
            over.set()


@sizes("rounds", 1, 10)
def test_a_name_that_is_looked_up_for_ever_holds_no_summary(
    rounds: int, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random("names")
    with names_hang(monkeypatch):
        for _ in range(rounds):
            began = time.monotonic()
            told = summarise(full(), "en", Endpoint(f"https://m{random.random()}.example/v1", "made", "", 0.3))
            assert (told.source, told.reason) == ("template", "timeout")
            assert time.monotonic() - began < _PATIENCE / 2, "it waited for the name"
    tally.tried("a language model whose name is looked up without end", rounds)
