"""The wheel, built twice in different folders, at different times and under different masks, and what lies in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

EPOCH = "1767225600"  # 1 January 2026: the time of every file in the wheel
_BELONGS = frozenset({".css", ".csv", ".html", ".jpg", ".js", ".json", ".md", ".png", ".py", ".svg", ".typed", ".yaml"})
_RECORDS = frozenset({"METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt", "NOTICE"})
_MAGIC = {
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"PK\x03\x04": "an archive",
    b"\x1f\x8b": "an archive",
    b"\x93NUMPY": "an array",
}
_SOURCES = ("src", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")


@dataclass(frozen=True)
class Wheels:
    """The wheel of the first building, the SHA-256 of both, and the names of what differs in them."""

    path: Path
    digests: tuple[str, str]
    different: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both are equal to the last bit."""
        return self.digests[0] == self.digests[1]


def built_twice(root: Path, out: Path) -> Wheels:
    """Build from two copies that differ in folder, times of files, mask, time zone and hash seed; keep the first."""
    digests, members, kept = list[str](), list[dict[str, tuple[object, ...]]](), out
    with tempfile.TemporaryDirectory() as work:
        _copy(root, Path(work) / "as-it-was", 0)  # once: whoever edits meanwhile makes no difference
        for turn, (mask, zone) in enumerate((("022", "UTC"), ("077", "Asia/Kathmandu"))):
            copy = Path(work) / f"copy-{turn}" / ("x" * (turn + 1))
            _copy(Path(work) / "as-it-was", copy, turn)
            folder = copy.parent / "wheel"
            environment = {
                **os.environ,
                "SOURCE_DATE_EPOCH": EPOCH,
                "TZ": zone,
                "PYTHONHASHSEED": str(turn + 1),
            }
            command = f"umask {mask} && exec uv build --quiet --wheel --out-dir '{folder}' '{copy}'"
            environment["PATH"] = f"{root / '.venv' / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
            subprocess.run(["bash", "-c", command], check=True, env=environment)
            (wheel,) = folder.glob("*.whl")
            digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
            members.append(_members(wheel))
            if turn == 0:
                kept = out / wheel.name
                shutil.copyfile(wheel, kept)
    names = sorted(members[0].keys() | members[1].keys())
    different = tuple(name for name in names if members[0].get(name) != members[1].get(name))
    return Wheels(kept, (digests[0], digests[1]), different)


def _members(wheel: Path) -> dict[str, tuple[object, ...]]:
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: (one.CRC, one.date_time, one.external_attr) for one in archive.infolist()}


def strangers(wheel: Path) -> list[str]:
    """What lies in a wheel and does not belong: by its ending, or by how it begins."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        for one in archive.infolist():
            name = Path(one.filename)
            if name.name in _RECORDS and ".dist-info" in one.filename:
                continue
            start = archive.read(one)[:8]
            what = next((word for magic, word in _MAGIC.items() if start.startswith(magic)), "")
            if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
                what = "a pickle"
            if not what and name.suffix not in _BELONGS:
                what = f"of the unknown kind '{name.suffix}'"
            if what or one.filename.startswith(("/", "..")):
                found.append(f"{one.filename}: {what or 'outside the package'}")
    return found


def _copy(root: Path, to: Path, turn: int) -> None:
    to.mkdir(parents=True)
    for name in _SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, to / name)
    for path in to.rglob("*"):
        os.utime(path, (1_700_000_000 + turn * 86_400, 1_700_000_000 + turn * 86_400))
