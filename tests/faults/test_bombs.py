"""Small files that ask for much, through every door: refused before the memory is taken, and the service lives."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.faults.made_doors import Doors, doors, growth
from tests.faults.made_more_bombs import MORE
from tests.faults.tally import Tally, sizes
from tests.scans.made_bombs import BOMBS

pytestmark = [pytest.mark.serve, pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")]
ALL = {**BOMBS, **MORE}
# what is in them is small, and what is too large in them is never unpacked
HARMLESS = frozenset({"png_whose_pixels_go_on", "tiff_of_a_deflated_strip", "tiff_of_a_profile_beyond_the_file"})
SHORT = ("zip_whose_second_end_counts", "npz_of_a_long_header", "dicom_of_a_million_items")
MOST = 250 << 20  # bytes that a process may grow by, beside the copies of what was sent
COPIES = 4
HANGS = 180.0
OBJECTS = tuple(name for name, (file, _) in ALL.items() if file.endswith(".dcm"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """One service for all bombs, which has taken a good study before."""
    with doors(tmp_path_factory.mktemp("doors")) as found:
        assert found.sound()
        yield found


@sizes("names", SHORT, tuple(ALL))
@pytest.mark.parametrize("door", ["upload", "upload in a zip file", "predict", "deidentify"])
def test_a_bomb_is_refused_in_little_memory(
    door: str, names: tuple[str, ...], site: Doors, tally: Tally, tmp_path: Path
) -> None:
    ways = {
        "upload": site.upload,
        "upload in a zip file": site.upload_in_zip,
        "predict": site.predict,
        "deidentify": site.deidentify,
    }
    taken = _thrown(names, ways[door], site, tally, tmp_path, f"bombs through: {door}")
    wrong = [name for name, told in taken.items() if told in ("taken", "written") and name not in HARMLESS]
    if door == "upload in a zip file":  # one file of several that cannot be read is set aside
        assert not [name for name in wrong if name.endswith("zip")]
    elif door != "deidentify":  # that keeps pixels as they are, compressed or not
        assert not wrong


@sizes("names", ("dicom_of_a_million_items",), OBJECTS)
@pytest.mark.parametrize("door", ["STOW-RS", "C-STORE"])
def test_a_bomb_from_the_network_is_kept_or_refused_and_never_becomes_a_scan(
    door: str, names: tuple[str, ...], site: Doors, tally: Tally, tmp_path: Path
) -> None:
    told = _thrown(names, site.stow if door == "STOW-RS" else site.store, site, tally, tmp_path, f"bombs by {door}")
    assert not [name for name, state in told.items() if state.startswith(("receiving", "whole"))], told


def _thrown(
    names: tuple[str, ...], way: Callable[[Path], str], site: Doors, tally: Tally, folder: Path, what: str
) -> dict[str, str]:
    told: dict[str, str] = {}
    swollen, slow, most, longest = 0, 0, 0, 0.0
    with tally.log(f"{what.replace(' ', '-').replace(':', '')}.log").open("w") as log:
        for name in names:
            file, maker = ALL[name]
            path = folder / file
            maker(path)
            begun = time.perf_counter()
            told[name], grown = growth(partial(way, path))
            took = time.perf_counter() - begun
            print(name, path.stat().st_size, told[name], f"{grown >> 20} MB", f"{took:.2f} s", file=log, flush=True)
            swollen += grown > MOST + COPIES * path.stat().st_size
            slow += took > HANGS
            most, longest = max(most, grown), max(longest, took)
            path.unlink()
    figures = {"largest growth, MB": float(most >> 20), "longest, s": longest}
    tally.tried(what, len(names), failed=swollen, crashed=slow + (not site.sound()), figures=figures)
    return told
