"""Rooms to run an image's steps in, without an engine: chroot, mount namespaces, another user without a capability."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Room:
    """Where a process of an image runs. root: its file system. mounts: (what, where, options) below the root; what
    is a path of this machine, or `tmpfs`. user: `uid:gid`. writable: whether the root itself is. bare: without a
    capability and without a way to one, whoever the user is.
    """

    root: Path
    mounts: tuple[tuple[str, str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    writable: bool = False
    bare: bool = True


def call(*words: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine to its end; its output is shown where it fails."""
    done = subprocess.run([str(word) for word in words], text=True, capture_output=True, **more)
    if done.returncode:
        raise SystemExit(
            f"{shlex.join(str(w) for w in words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done


def script(room: Room, words: Sequence[str]) -> str:
    """The commands that mount a room and run a program in it, for a shell in a mount namespace of its own."""
    root = shlex.quote(str(room.root))
    lines = ["set -e", "mount --make-rprivate /", f"mount --bind {root} {root}"]
    for what, where, options in room.mounts:
        target = shlex.quote(str(room.root) + where)
        if what in ("tmpfs", "proc") or Path(what).is_dir():
            lines.append(f"mkdir -p {target}")
        else:
            lines.append(f"mkdir -p $(dirname {target}) && touch {target}")
        if what == "tmpfs":
            lines.append(f"mount -t tmpfs -o {options or 'mode=1777'} tmpfs {target}")
        elif what == "proc":
            lines.append(f"mount -t proc proc {target}")
        else:
            lines.append(f"mount --rbind {shlex.quote(what)} {target}")
            if "ro" in options.split(","):
                lines.append(f"mount -o remount,ro,bind {target} {target}")
    if not room.writable:
        lines.append(f"mount -o remount,ro,bind {root} {root}")
    uid, _, gid = room.user.partition(":")
    clean = ["env", "-i", *(f"{name}={value}" for name, value in room.env.items())]
    bare = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    drop = ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", *bare] if room.bare else []
    go = ["sh", "-c", f'cd {shlex.quote(room.workdir)} && exec "$@"', "room", *clean, *words]
    lines.append(f"exec chroot {root} {shlex.join([*drop, *go])}")
    return "\n".join(lines)


def begin(room: Room, words: Sequence[str], log: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a program in a room; what it says goes to a log."""
    with log.open("ab") as out:
        return subprocess.Popen(["unshare", "--mount", "bash", "-c", script(room, words)], text=True, stdout=out,
                                stderr=out, stdin=subprocess.DEVNULL, **more)  # fmt: skip


def run(
    room: Room, words: Sequence[str], check: bool = True, timeout: float = 1800
) -> subprocess.CompletedProcess[str]:
    """Run a program in a room to its end."""
    done = subprocess.run(["unshare", "--mount", "bash", "-c", script(room, words)], text=True, capture_output=True,
                          timeout=timeout, stdin=subprocess.DEVNULL)  # fmt: skip
    if check and done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise SystemExit(f"{shlex.join(words)[:300]} ended with {done.returncode}:\n{said}")
    return done


def end(process: subprocess.Popen[str], sign: str = "SIGTERM", within: float = 75) -> int:
    """Ask a program to end, as an engine does, and wait; its exit code. Raises SystemExit where it does not end."""
    process.send_signal(getattr(signal, sign))
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"the program did not end within {within:g} s of {sign}") from None


def layered(base: Path, place: Path) -> Path:
    """A copy of a file system that costs what is changed in it (overlayfs), or else a whole copy."""
    upper, work, merged = place / "upper", place / "work", place / "root"
    for one in (upper, work, merged):
        one.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={base},upperdir={upper},workdir={work}"
    made = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], capture_output=True)
    if made.returncode and base == Path("/"):
        raise SystemExit("This machine's own root cannot be layered (overlayfs), and it is too large to be copied.")
    if made.returncode:
        call("cp", "-a", f"{base}/.", merged)
    return merged


def put(root: Path, sources: Sequence[Path], target: str, workdir: str, ignored: Sequence[str] = ()) -> None:
    """COPY: files and the contents of folders below a target; the target of several sources is a folder."""
    goal = root / str(Path(workdir) / target).lstrip("/")
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, goal, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(*ignored))
            continue
        into = goal / source.name if target.endswith("/") or len(sources) > 1 or goal.is_dir() else goal
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, into)
