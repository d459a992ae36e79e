"""A look at the records that nobody has to wait for."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from insula.serve import health
from insula.serve.faults import RequestError
from insula.serve.health import Look

pytestmark = pytest.mark.serve


def test_records_that_hang_keep_nobody_waiting_and_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.02)
    go, asked, clock = threading.Event(), [], [0.0]

    def ask() -> str:
        asked.append(1)
        if len(asked) == 2:
            assert go.wait(60)
        return f"answer {len(asked)}"

    look = Look(ask, lambda: clock[0])

    async def story() -> None:
        while look._last is None:  # the first look may take longer than its patience
            with_trouble = await asyncio.gather(look.answer(), return_exceptions=True)
            assert with_trouble[0] == "answer 1" or isinstance(with_trouble[0], RequestError)
        assert await look.answer() == "answer 1"  # what was said last, while the second look hangs
        clock[0] = health.FRESH + 1
        for _ in range(5):
            with pytest.raises(RequestError, match="do not answer") as met:
                await look.answer()
            assert met.value.status == 503
        assert len(asked) == 2, "a look that hangs is not joined by others"
        hanging = look._asking
        go.set()
        assert hanging is not None
        assert await asyncio.wrap_future(hanging) == "answer 2"
        assert look._last == (clock[0], "answer 2")

    asyncio.run(story())


def test_what_asking_raises_is_raised() -> None:
    def ask() -> str:
        raise ValueError("broken")

    look = Look(ask)

    async def once() -> None:
        while True:
            try:
                await look.answer()
            except RequestError:  # it took longer than its patience
                continue

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(once())


def test_an_error_that_comes_too_late_is_told_to_no_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.001)
    go = threading.Event()

    def ask() -> str:
        go.wait(60)
        raise ValueError("postgresql://alice:secret@host")

    look = Look(ask)

    async def once() -> None:
        with pytest.raises(RequestError):
            await look.answer()
        go.set()
        hanging = look._asking
        assert hanging is not None
        while not hanging.done():
            await asyncio.sleep(0)

    asyncio.run(once())
    gc.collect()
    assert "secret" not in caplog.text
