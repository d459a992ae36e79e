from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image
from tests.cohort.made_folders import by_patient, flat, picture

from insula.cli.main import main
from insula.cohort import leak_page
from insula.cohort.index import index
from insula.cohort.leaks import find
from insula.cohort.table import load, save
from insula.core import recipe as recipes
from insula.core.types import Cohort

STROKE = recipes.load("stroke-ct")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "img" and name == "src":
                self.pictures.append(value or "")
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(value or "")


def leaking(root: Path) -> Cohort:
    """p000's picture under another label and in another split, twice; p001's, mirrored, in one split."""
    by_patient(root, {"normal": 6, "stroke": 6}, files=1)
    for name in ("p006", "p007"):
        shutil.copy(root / "normal" / "p000" / "1.png", root / "stroke" / name / "1.png")
    Image.fromarray(np.ascontiguousarray(picture(100)[:, ::-1])).save(root / "normal" / "p002" / "1.png")
    cohort = index(root, STROKE)
    test = {"p006", "p007", "p008"}
    return replace(
        cohort,
        cases=tuple(replace(c, split="test" if c.patient in test else "train") for c in cohort.cases),
        split_level="patient",
    )


def test_groups_come_with_their_pictures_the_gravest_first(tmp_path: Path) -> None:
    cohort = leaking(tmp_path)
    report = find(cohort)
    assert [(len(g.cases), g.crosses, g.labels) for g in report.groups] == [
        (3, True, ("normal", "stroke")),
        (2, False, ("normal",)),
    ]
    assert (report.identical, report.identical_groups, report.near, report.inside, report.clashes) == (2, 1, 0, 2, 2)
    text = leak_page.render(report, cohort)
    page = Page(text)
    assert len(page.pictures) == 8
    assert all(p.startswith("data:image/jpeg;base64,/9j/") for p in page.pictures)
    assert page.outside == []
    assert text.index("several labels") < text.index("Near-duplicate</strong>")
    assert "mirrored" in text
    assert "Shown: 4 pairs of 2 groups." in text
    assert "Left out" not in text


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    cohort = leaking(tmp_path)
    report = find(cohort)
    text = leak_page.render(report, cohort, shown=1)
    assert len(Page(text).pictures) == 2
    assert "Left out: 3 pairs, and 1 group altogether" in text


def test_names_are_escaped_and_vanished_files_are_said(tmp_path: Path) -> None:
    cohort = leaking(tmp_path)
    report = find(cohort)
    shutil.rmtree(tmp_path / "stroke")
    text = leak_page.render(report, cohort)
    assert text.count("cannot be read") == 4
    wild = replace(report, pairs=tuple(replace(p, labels=("<b>x", p.labels[1])) for p in report.pairs))
    assert "<b>x" not in leak_page.render(wild, cohort)


def test_the_command_writes_page_json_and_table(tmp_path: Path) -> None:
    cohort = leaking(tmp_path / "scans")
    save(cohort, tmp_path / "cohort.csv")
    asked = ["leaks", str(tmp_path / "cohort.csv"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.exit_code == 31
    lines = done.output.splitlines()
    assert lines[0] == "Leaks: fail (12 pictures of 12 cases compared)"
    assert lines[1].startswith("  2 pairs of identical files across splits, in 1 group: normal/p000/1.png and ")
    assert [line for line in lines if line.startswith("Next: ")] == [
        "Next: `insula split COHORT --recipe NAME --out NEW --keep-duplicates-together` keeps each patient and each "
        "group of copies in one split.",
        "Next: Look at the pairs with two labels (labels_clash is 1 in pairs.csv) and correct the wrong ones.",
    ]
    assert len(lines) < 10
    data = json.loads(CliRunner().invoke(main, [*asked, "--json", "--slices", "all"], catch_exceptions=False).output)
    written = json.loads((tmp_path / "out" / "leaks.json").read_text())
    assert data["verdict"] == written["verdict"] == "fail"
    rows = list(csv.DictReader((tmp_path / "out" / "pairs.csv").read_text().splitlines()))
    assert written["pairs_found"] == len(rows) == 4
    assert written["pairs"][0]["labels"] == ["normal", "stroke"]
    assert (tmp_path / "out" / "leaks.html").stat().st_size > 5000


def test_a_split_that_keeps_duplicates_together_has_no_crossing_pair(tmp_path: Path) -> None:
    flat(tmp_path / "scans", {"normal": 24, "stroke": 24})
    for k in range(8):  # a copy of every third normal picture, mirrored
        source = np.asarray(Image.open(sorted((tmp_path / "scans" / "normal").glob("*.png"))[3 * k]))
        Image.fromarray(np.ascontiguousarray(source[:, ::-1])).save(tmp_path / "scans" / "normal" / f"t{k}_0.png")
    cohort = index(tmp_path / "scans", STROKE)
    save(cohort, tmp_path / "all.csv")
    asked = ["split", str(tmp_path / "all.csv"), "--recipe", "stroke-ct", "--level", "picture", "--out"]

    def crossing(*options: str) -> tuple[int, str, str]:
        out = tmp_path / "split.csv"
        said = CliRunner().invoke(main, [*asked, str(out), *options], catch_exceptions=False)
        assert said.exit_code == 0, said.output
        made = load(out)
        report = find(made)
        return report.near + report.identical, made.split_level, said.output

    assert crossing()[0] > 0
    left, level, said = crossing("--keep-duplicates-together")
    assert (left, level) == (0, "picture")
    assert "8 groups of duplicates" in said
    assert "too good" in said


def test_following_files_and_keeping_duplicates_exclude_each_other(tmp_path: Path) -> None:
    cohort = leaking(tmp_path / "scans")
    save(cohort, tmp_path / "cohort.csv")
    asked = ["split", str(tmp_path / "cohort.csv"), "--recipe", "stroke-ct", "--out", str(tmp_path / "x.csv")]
    done = CliRunner().invoke(main, [*asked, "--keep-duplicates-together", "--from-files", str(tmp_path)])
    assert "--keep-duplicates-together" in str(done.exception)
