"""Insula's commands as processes of their own that start at once, to be killed by the hundred.

A zygote has imported everything and has no thread; each command is a fork of it, with an environment, a temporary
folder and a log of its own, and runs `insula …` as the program itself does:
`python -m tests.faults.made_zygote MODULE …`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0  # seconds until something that has to come is said not to come
SERVING = ("insula.serve.full", "insula.serve.run", "insula.infer.engine", "insula.cli.worker", "insula.cli.serve")


class Zygote:
    """A process that forks commands; usable from several threads."""

    def __init__(self, modules: Sequence[str]) -> None:
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
        self.env = plain | quiet
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.made_zygote", *modules],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, words: Sequence[str], env: Mapping[str, str], log: Path, folder: Path = ROOT) -> Command:
        """Begin `insula WORDS` in a folder; what it says goes to the log. Of INSULA_* it has these alone."""
        asked = {
            "do": "start",
            "words": list(words),
            "env": {**self.env, **env},
            "log": str(log),
            "folder": str(folder),
        }
        return Command(self, int(self.ask(asked)["pid"]), log)

    def ask(self, asked: Mapping[str, Any]) -> Any:
        """One question and its answer."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it; commands that run stay."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass(eq=False)
class Command:
    """A command that was begun. code: its exit code once it is known, negative for a signal."""

    zygote: Zygote
    pid: int
    log: Path
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.code is None:
            self.code = self.zygote.ask({"do": "poll", "pid": self.pid})["code"]
        return self.code

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"it does not end: {self.said()}"
            time.sleep(0.01)
        return code

    def kill(self, sign: int = signal.SIGKILL) -> int:
        """End it by a signal; its exit code. A pid stays its own until this has asked for the code."""
        if self.poll() is None:
            os.kill(self.pid, sign)
        return self.wait()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


@contextmanager
def zygote(*modules: str) -> Iterator[Zygote]:
    """A zygote as long as the block runs."""
    made = Zygote(modules)
    try:
        yield made
    finally:
        made.close()


def main(modules: Sequence[str]) -> int:
    """Answer questions until they end; a forked command ends within."""
    import_module("insula.cli.main")
    for name in modules:
        import_module(name)
    ended: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "start":
            pid = os.fork()
            if not pid:
                _command(asked)
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = {"code": _code(int(asked["pid"]), ended)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


def _code(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _command(asked: Mapping[str, Any]) -> NoReturn:
    from insula.cli.main import run

    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    tempfile.tempdir = None  # it was looked up before the fork
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, handle in ((0, nothing), (1, log), (2, log)):
        os.dup2(handle, target)
    os.closerange(3, 256)
    sys.argv = ["insula", *asked["words"]]
    code = 0
    try:
        run()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # libraries that were loaded before the fork miss their threads at the end


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
