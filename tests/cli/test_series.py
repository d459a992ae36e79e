"""`insula predict --series list`: what a mixed folder holds, without loading a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from tests.scans.made_dicom import series, write

from insula.cli.main import main


def mixed(folder: Path) -> Path:
    series(folder / "a", [(0, 0, 5.0 * k) for k in range(4)], SeriesDescription="HEAD 5MM", ConvolutionKernel="H31s")
    series(folder / "b", [(0, 0, 3.0 * k) for k in range(2)], SeriesInstanceUID="9.9")
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesInstanceUID": "5.5"}
    write(folder / "c" / "scout", np.zeros((4, 4), np.int16), **scout)
    (folder / "notes.txt").write_text("no scan")
    return folder


def test_the_series_of_a_mixed_folder_are_listed(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predict", "no-bundle", str(mixed(tmp_path)), "--series", "list"])
    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "  1: CT, 4 slices of 4x6 5.0 mm apart, axial, kernel H31s  HEAD 5MM  1.2.3.4",
        "  2: CT, 2 slices of 4x6 3.0 mm apart, axial    9.9",
        "  3: CT, 1 file, localiser    5.5",
    ]


def test_the_list_is_json_too(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predict", "no-bundle", str(mixed(tmp_path)), "--series", "list", "--json"])
    found = json.loads(result.output)["series"]
    assert [(e["number"], e["uid"], e["slices"], e["files"], e["aside"]) for e in found] == [
        (1, "1.2.3.4", 4, 4, ""),
        (2, "9.9", 2, 2, ""),
        (3, "5.5", 0, 1, "localiser"),
    ]
