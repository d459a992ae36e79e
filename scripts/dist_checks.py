"""What `make dist` left is what a stranger should get: the checks on a wheel and a source distribution.

Usage: python scripts/dist_checks.py dist [--tag v1.2.3]

Ends with 1 and says what is wrong: a file that is missing or does not belong, a name, version or licence that is not
that of the package, a wheel out of the source distribution that is another than the one out of the checkout.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import supply_wheel  # noqa: E402

MOST_BYTES = 5_000_000
NEEDED = (
    "insula/py.typed",
    "insula/cli/main.py",
    "insula/recipes/haemorrhage-ct.yaml",
    "insula/serve/web/built/main.js",
    "insula/documents/README.md",
    "insula/documents/CHANGELOG.md",
    "insula/documents/docs/reading.md",
)
NEEDED_SOURCES = ("LICENSE", "README.md", "pyproject.toml", "src/insula/serve/web/built/main.js", "web/package.json")
_UNWANTED = re.compile(r"(^|/)(tests|benchmarks|node_modules|__pycache__|screens|runs|\.git|\.venv)(/|$)|\.map$")
_LIGHT = ("torch", "pandas", "pyarrow", "scikit-learn", "matplotlib")


def of_wheel(wheel: Path, version: str) -> list[str]:
    """What is wrong with a wheel. version: the package's, as its source says it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"insula-{version}.dist-info"
        found = [f"{name} is missing" for name in (*NEEDED, f"{info}/METADATA", f"{info}/licenses/LICENSE")]
        found = [line for line in found if line.removesuffix(" is missing") not in names]
        if f"{info}/METADATA" in names:
            found += of_metadata(archive.read(f"{info}/METADATA").decode(), version)
    found += [f"{name} does not belong" for name in unwanted(names)]
    found += supply_wheel.strangers(wheel)
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"{wheel.stat().st_size:,} bytes, and {MOST_BYTES:,} are the most")
    return found


def of_metadata(text: str, version: str) -> list[str]:
    """What is wrong with a wheel's METADATA."""
    told = Parser().parsestr(text)
    found = [
        f"METADATA says {name}: {told[name]}, not {wanted}"
        for name, wanted in (("Name", "insula"), ("Version", version), ("License-Expression", "Apache-2.0"))
        if told[name] != wanted
    ]
    always = [line for line in told.get_all("Requires-Dist", []) if "extra ==" not in line]
    heavy = [name for name in _LIGHT if any(re.match(rf"{name}\b", line) for line in always)]
    found += [f"{name} is required by the light install" for name in heavy]
    if not told.get_payload():
        found.append("METADATA has no description")
    return found


def of_sources(archive: Path, version: str) -> list[str]:
    """What is wrong with a source distribution."""
    with tarfile.open(archive) as packed:
        names = packed.getnames()
    top = f"insula-{version}/"
    found = [f"{name} is outside of {top}" for name in names if not name.startswith(top)]
    inner = {name.removeprefix(top) for name in names}
    found += [f"{name} is missing" for name in NEEDED_SOURCES if name not in inner]
    return found + [f"{name} does not belong" for name in unwanted(inner)]


def unwanted(names: Iterable[str]) -> list[str]:
    """The first file of each folder that has no place in a distribution."""
    firsts: dict[str, str] = {}
    for name in sorted(names):
        if met := _UNWANTED.search(name):
            firsts.setdefault(met[0], name)
    return sorted(firsts.values())


def different(one: Path, other: Path) -> list[str]:
    """The names of what differs in two wheels."""
    first, second = _members(one), _members(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _members(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.CRC for item in archive.infolist()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what lies in a folder."""
    from insula import __version__

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tag", help="the tag of a release, which has to be v and the version")
    told = parser.parse_args(arguments)
    wheels, sources = sorted(told.folder.glob("*.whl")), sorted(told.folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        print(f"'{told.folder}' holds {len(wheels)} wheels and {len(sources)} source distributions; run: make dist.")
        return 1
    wrong = of_wheel(wheels[0], __version__) + of_sources(sources[0], __version__)
    if told.tag is not None and told.tag != f"v{__version__}":
        wrong.append(f"the tag is {told.tag} and the package's version {__version__}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (direct,) = Path(folder).glob("*.whl")
        wrong += [f"{name} differs from the checkout's" for name in different(wheels[0], direct)]
    for path in (*wheels, *sources):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    print("\n".join(f"wrong: {line}" for line in wrong) or "Both hold what they should; the wheel is the checkout's.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
