"""What is kept in memory: made once for all who ask, also where it fails, and forgotten with its file."""

from __future__ import annotations

import io
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from insula.core.errors import ScanError
from insula.serve import kept
from insula.serve.kept import Kept, Key
from insula.serve.store.files import open_files

pytestmark = pytest.mark.serve
A: Key = (("a",), None)
B: Key = (("b", "c"), 2)


class Slow:
    """Something whose making waits until it is let go, and that counts how often it was begun."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.count = fails, 0
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> bytes:
        self.count += 1
        self.begun.set()
        assert self.go.wait(30)
        if self.fails:
            raise ScanError("damaged")
        return b"made"


@pytest.mark.parametrize("fails", [False, True])
def test_what_several_ask_for_is_made_once_and_its_error_is_everybodys(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Semaphore(0)

    class Watched(Future[bytes]):
        def result(self, timeout: float | None = None) -> bytes:
            waiting.release()
            return super().result(timeout)

    monkeypatch.setattr(kept, "Future", {kept.T: Watched})  # as `Future[T]()` is made
    store, slow = Kept(10, len), Slow(fails)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(store.get, A, slow)
        assert slow.begun.wait(30)
        others = [pool.submit(store.get, A, slow) for _ in range(3)]
        assert all(waiting.acquire(timeout=30) for _ in others)
        assert store.get(B, lambda: b"another does not wait") == b"another does not wait"
        slow.go.set()
        for one in (first, *others):
            if fails:
                with pytest.raises(ScanError, match="damaged"):
                    one.result(30)
            else:
                assert one.result(30) == b"made"
    assert slow.count == 1
    assert store.get(A, lambda: b"again") == (b"again" if fails else b"made")


def test_what_was_asked_for_last_stays() -> None:
    store = Kept(10, len)
    for key, text in ((A, b"12345"), (B, b"12345"), (A, b"not made"), ((("d",), None), b"1")):
        store.get(key, lambda text=text: text)  # type: ignore[misc]
    assert store.get(A, lambda: b"anew") == b"12345"
    assert store.get(B, lambda: b"anew") == b"anew"


def test_what_is_being_made_of_a_forgotten_file_is_not_kept() -> None:
    store, slow = Kept(10, len), Slow()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.get, B, slow)
        assert slow.begun.wait(30)
        store.forget({"c"})
        slow.go.set()
        assert first.result(30) == b"made"
    assert store.get(B, lambda: b"anew") == b"anew"


def test_a_deleted_file_is_forgotten(tmp_path: Path) -> None:
    files, store = open_files(str(tmp_path)), Kept(100, len)
    gone, stays = (files.put(io.BytesIO(text), 9).sha256 for text in (b"gone", b"stays"))
    for name in (gone, stays):
        store.get(((name,), None), lambda name=name: files.get(name))  # type: ignore[misc]
    assert files.delete(gone)
    assert store.get(((gone,), None), lambda: b"anew") == b"anew"
    assert store.get(((stays,), None), lambda: b"anew") == b"stays"
    assert not files.delete(gone)
