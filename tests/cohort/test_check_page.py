from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from tests.cohort.made_folders import by_patient, dicom_patient, picture
from tests.scans.made_dicom import write

from insula.cli import cohort as verbs
from insula.cli.phantom import phantom
from insula.cohort import check_page, examine
from insula.cohort.check import CheckReport, check
from insula.cohort.choose_pictures import choose
from insula.cohort.found import Aside
from insula.cohort.index import Hints, index, survey_cohort
from insula.cohort.leaks import find
from insula.cohort.odd import odd
from insula.cohort.table import Notes, copy_notes, load_notes, save, save_notes
from insula.core import recipe as recipes
from insula.core.types import Cohort, Split

STROKE = recipes.load("stroke-ct")
SERIES = recipes.load("stroke-ct", ("inputs.ct.unit=series",))


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Twelve patients: a picture with text and of another size, a blank one, a torn one, a clash; RGB in one class."""
    made = index(by_patient(tmp_path / "data", {"normal": 6, "stroke": 6}), STROKE)
    root = Path(made.root)
    for path in sorted((root / "stroke").rglob("*.png")):
        Image.open(path).convert("RGB").save(path)
    with_text = Image.fromarray(np.pad(picture(1, 160), 40))
    ImageDraw.Draw(with_text).text((4, 4), "DOE JOHN 1961 HEAD", fill=255)
    with_text.resize((96, 96)).save(root / "normal" / "p000" / "1.png")
    with_text.save(root / "normal" / "p000" / "2.png")
    Image.new("L", (96, 96), 9).save(root / "normal" / "p001" / "1.png")
    Image.open(root / "stroke" / "p006" / "1.png").convert("L").save(root / "normal" / "p002" / "1.png")
    (root / "normal" / "<i>.dcm").write_text("no scan")
    made = index(root, STROKE, r"(p\d\d\d)")
    (root / "normal" / "p001" / "2.png").write_bytes(b"torn <b>&")
    return made


@pytest.fixture
def report(cohort: Cohort) -> CheckReport:
    return check(cohort, notes=Notes("folders", "class folders", (Aside("normal/p001/2.png", "torn <b>"),)))


class _Page(HTMLParser):
    """Collects what a page refers to and whether its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        given = dict(attrs)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]
        if tag == "img":
            self.pictures.append(given)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_finds_what_was_planted(report: CheckReport) -> None:
    assert [key for key, _ in report.text] == ["normal/p000/2.png"]
    assert [key for key, _ in report.odd] == ["normal/p000/2.png"]
    assert "size 240x240, while 95% are 96x96" in dict(report.odd)["normal/p000/2.png"]
    assert report.blank == ("normal/p001/1.png",)
    assert report.clashes == (("normal/p002/1.png", "stroke/p006/1.png"),)
    modes = next(a for a in report.associations if a.attribute == "mode")
    assert (modes.strong, modes.title) == (True, "colour mode")
    assert any("'colour mode' alone tells the classes apart" in p for p in report.problems)


def test_the_page_needs_nothing_beside_itself_and_is_well_formed(report: CheckReport, cohort: Cohort) -> None:
    root = Path(cohort.root)
    shutil.copy(root / "stroke" / "p007" / "1.png", root / "stroke" / "p008" / "1.png")
    text = check_page.render(report, cohort, find(cohort), name="a & b")
    page = _Page(text)
    assert page.open == []
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert not re.search(r"url\(|@import|https?://", text)
    assert all(picture["alt"] for picture in page.pictures)
    assert "<i>.dcm" not in text
    assert "&lt;i&gt;.dcm" in text
    assert "a &amp; b" in text
    assert "of copies not across splits, of different patients" in text
    assert "stroke/p007/1.png and stroke/p008/1.png" in text


def test_the_top_box_names_leaks_and_says_what_the_verdict_means(tmp_path: Path) -> None:
    made = index(by_patient(tmp_path, {"normal": 3, "stroke": 3}), STROKE)
    places: tuple[Split, ...] = ("train", "test")
    split = replace(made, cases=tuple(replace(c, split=places[k % 2]) for k, c in enumerate(made.cases)))
    report = check(split)
    assert report.verdict == "pass"

    def top(text: str) -> str:
        return text[text.index("</header>") : text.index('<div class="cards">')]

    leaking = top(check_page.render(report, split, find(split)))
    assert "Mend this before training" in leaking
    assert "6 patients stand in two splits" in leaking
    assert "Verdict: fail. At least one of these is a fault" in leaking
    unsplit = top(check_page.render(report, made, find(made)))
    assert "Look at this before training" in unsplit
    assert "the cohort is not split yet: nothing can cross splits" in unsplit
    assert "Verdict: cannot tell. None of these is a fault by itself" in unsplit
    assert "Leaks were not looked for" in top(check_page.render(report, made))


def test_noise_is_said_in_the_unit_that_it_has(report: CheckReport, cohort: Cohort, tmp_path: Path) -> None:
    text = check_page.render(report, cohort)
    assert "Noise as a share of the scale shown, since these scans are not in HU." in text
    assert " HU</td>" not in text
    for name, patient in (("normal", "A"), ("normal", "B"), ("stroke", "C"), ("stroke", "D")):
        dicom_patient(tmp_path / "ct" / name / patient, patient, 1, ord(patient))
    ct = index(tmp_path / "ct", STROKE)
    in_hu = check(ct)
    assert "Noise in HU." in check_page.render(in_hu, ct)
    both = replace(report, seen=(*report.seen, *(replace(s, units="HU") for s in report.seen)))
    mixed = check_page.render(both, cohort)
    assert "each has a row of its own" in mixed
    assert "(not HU)" in mixed


def test_what_the_page_says(report: CheckReport, cohort: Cohort) -> None:
    text = check_page.render(report, cohort)
    for wanted in (
        "Layout folders: class folders.",
        "Mend this before training",
        "may bear text",
        "the same picture as stroke/p006/1.png, with another label",
        "size 240x240, while 95% are 96x96",
        "possible shortcut",
        "not a medical device",
    ):
        assert wanted in text
    assert "Leaks between splits" not in text


def test_a_clean_cohort_says_so(tmp_path: Path) -> None:
    clean = index(by_patient(tmp_path, {"normal": 3, "stroke": 2}), STROKE)
    text = check_page.render(check(clean), clean)
    assert "None of these checks found a reason against training" in text
    assert "Worth a look" not in text
    assert "None: every file that could be a scan belongs to a case." in text


def test_long_lists_are_cut_on_the_page_and_whole_in_json(report: CheckReport, cohort: Cohort, tmp_path: Path) -> None:
    many = tuple(Aside(f"x/{i}.dcm", "no scan") for i in range(1000))
    long = replace(report, outside=many, unlabelled=tuple(str(i) for i in range(500)))
    page = check_page.write(long, cohort, tmp_path / "out")
    text = page.read_text()
    assert "970 more in check.json" in text
    assert "470 more in check.json" in text
    assert len(text) < 600_000
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert len(content["outside"]) == content["counts"]["outside"] == 1000
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"check.html", "check.json", "scans.csv"}


def test_the_table_of_scans(report: CheckReport, cohort: Cohort) -> None:
    rows = list(csv.DictReader(check_page.table(report, cohort).splitlines()))
    assert len(rows) == len(cohort.cases)
    by_case = {row["case"]: row for row in rows}
    assert by_case["normal/p001/1.png"]["blank"] == "1"
    assert by_case["normal/p001/2.png"]["error"] != ""
    assert int(by_case["normal/p000/2.png"]["text_marks"]) >= 4
    good = by_case["stroke/p007/1.png"]
    assert (good["class"], good["width"], good["units"]) == ("stroke", "96", "a.u.")
    assert 0 < float(good["score"]) < 100


def test_cells_that_a_spreadsheet_would_run(tmp_path: Path) -> None:
    (tmp_path / "normal" / "=cmd()").mkdir(parents=True)
    Image.fromarray(picture(0)).save(tmp_path / "normal" / "=cmd()" / "1.png")
    made = index(tmp_path, STROKE)
    (row,) = csv.DictReader(check_page.table(check(made), made).splitlines())
    assert row["patient"] == "'=cmd()"


def test_the_gravest_come_first_and_each_kind_is_shown(report: CheckReport, cohort: Cohort) -> None:
    sheets = choose(report, cohort)
    keys = [c.case.key for c in sheets.suspicious]
    assert keys == ["normal/p002/1.png", "stroke/p006/1.png", "normal/p001/1.png", "normal/p000/2.png"]
    assert len(sheets.suspicious[-1].reasons) == 2
    few = choose(report, cohort, most=3, each=2)
    assert [c.case.key for c in few.suspicious] == ["normal/p002/1.png", "normal/p001/1.png", "normal/p000/2.png"]
    assert few.more == 1
    assert {name: (len(some), count) for name, (some, count) in few.classes.items()} == {
        "normal": (2, 12),
        "stroke": (2, 12),
    }


def test_files_set_aside_keep_the_reason_of_the_index(tmp_path: Path) -> None:
    dicom_patient(tmp_path / "data" / "a", "A")
    scout = tmp_path / "data" / "a" / "scout"
    write(scout, picture(0, 64).astype(np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tmp_path / "data" / "b.dcm").write_bytes(scout.read_bytes()[:200])
    made = survey_cohort(tmp_path / "data", SERIES, Hints())
    table = tmp_path / "c.csv"
    save(made.cohort, table)
    save_notes(table, made.layout, made.why, made.aside)
    copy_notes(table, tmp_path / "split.csv")
    report = check(made.cohort, notes=load_notes(tmp_path / "split.csv"))
    assert {a.path: a.reason for a in report.outside} == {a.path: a.reason for a in made.aside}
    page = _Page(check_page.render(report, made.cohort))
    assert [p["alt"] for p in page.pictures] == ["a/scout", "A"]
    assert load_notes(tmp_path / "none.csv") == Notes()


def test_several_processes_see_the_same_as_one(cohort: Cohort) -> None:
    root = Path(cohort.root)
    alone = list(examine.every(cohort.cases, root, workers=1))
    assert list(examine.every(cohort.cases, root, workers=2)) == alone
    paths = [next(iter(c.scans.values())).paths for c in cohort.cases]
    assert examine.thumbnails(paths, root, workers=1) == examine.thumbnails(paths, root, workers=2)


def test_jpeg_quality_is_read_from_the_file(tmp_path: Path) -> None:
    for k in range(20):
        name, quality = ("normal", 75) if k < 10 else ("stroke", 92)
        (tmp_path / name / f"p{k}").mkdir(parents=True)
        Image.fromarray(picture(k)).save(tmp_path / name / f"p{k}" / "1.jpg", quality=quality)
    found = {a.attribute: a for a in check(index(tmp_path, STROKE)).associations}
    assert found["JPEG quality"].table == {"75": {"normal": 10, "stroke": 0}, "92": {"normal": 0, "stroke": 10}}
    assert found["JPEG quality"].strong


def test_odd_spacing_and_length(tmp_path: Path) -> None:
    for k in range(12):
        far = {"PixelSpacing": [0.9, 0.9]} if k == 3 else {}
        dicom_patient(tmp_path / "in" / f"{k:02d}", f"P{k:02d}", slices=7 if k == 5 else 3, seed=k, **far)
    made = survey_cohort(tmp_path / "in", SERIES).cohort
    report = check(made)
    said = dict(report.odd)
    assert said["P03"] == "pixel spacing 0.90 mm, while the median is 0.25 mm"
    assert said["P05"] == "slices 7, while the median is 3"
    assert {key for key, what in said.items() if "spacing" in what or "slices" in what} == {"P03", "P05"}
    assert odd(report.seen[:9]) == ()


def test_the_verb_writes_page_table_and_figures(cohort: Cohort, tmp_path: Path) -> None:
    save(cohort, tmp_path / "c.csv")
    line = [str(tmp_path / "c.csv"), "--out", str(tmp_path / "out"), "--no-leaks"]
    done = CliRunner().invoke(verbs.check, line, catch_exceptions=False)
    assert "Files and labels: fail" in done.output
    assert "1 picture carries different labels in its copies" in done.output
    assert (tmp_path / "out" / "check.html").read_text().startswith("<!doctype html>")
    assert not (tmp_path / "out" / "leaks.json").exists()


def test_faults_planted_in_phantoms_are_named_and_clean_ones_pass(tmp_path: Path) -> None:
    planted = ["--plant", "scanner:1", "--plant", "text:any=1:DOE JOHN"]
    found = {}
    for name, more in (("clean", []), ("planted", planted)):
        line = ["haemorrhage-ct", str(tmp_path / name), "--patients", "16", "--size", "128", "--slices", "8"]
        CliRunner().invoke(phantom, [*line, *more], catch_exceptions=False)
        found[name] = check(index(tmp_path / name, recipes.load("haemorrhage-ct")))
    assert found["clean"].problems == ()
    assert {a.attribute for a in found["planted"].associations if a.strong and not a.measured} >= {
        "scanner",
        "manufacturer",
        "burned-in text",
    }
    positive = found["planted"].classes["any"][0]
    assert len(found["planted"].text) == positive
