"""The page and the sheet of an audit, and what lies beside them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from tests.report import made_audit
from tests.report.made_audit import FINDINGS, found, held, plain, report
from tests.report.parsed import Page
from tests.report.test_markup import HARMLESS, HOSTILE

from insula.audit.outcome import AuditReport
from insula.audit.run import ORDER
from insula.core.errors import EvaluationError
from insula.evaluate.outcome import LIMITS, Failure
from insula.report import audit_page, audit_words

MADE: dict[str, Callable[[], AuditReport]] = {
    "plain": plain,
    "empty": made_audit.empty,
    "crowded": made_audit.crowded,
    "real": made_audit.real,
    "passes": lambda: report(FINDINGS[7:8]),
}
RENDER = {"page": audit_page.render, "sheet": audit_page.brief}


@cache
def page(name: str = "plain") -> Page:
    return Page(audit_page.render(held(MADE[name]())))


@cache
def sheet(name: str = "plain") -> Page:
    return Page(audit_page.brief(held(MADE[name]())))


def rows(made: Page) -> dict[str, list[str]]:
    """The rows of findings by the check that stands in them."""
    return {
        match[0]: cells
        for cells in made.apart
        if len(cells) == 4 and (match := re.search(r"[a-z]+(?:/[\w=]+)+$", cells[0]))
    }


@pytest.mark.parametrize("name", MADE)
def test_every_finding_stands_once_with_its_figures_and_its_verdict_in_words(name: str) -> None:
    made, report = page(name), MADE[name]()
    assert len([e for e in made.all("code") if e.text in {f.check for f in report.findings}]) == len(report.findings)
    said = {"fail": "fails", "cannot tell": "cannot be told", "pass": "passes"}
    for one in held(report)["findings"]:
        cells = next(c for c in made.apart if len(c) == 4 and c[0].endswith(f" {one['check']}"))
        assert cells[0].startswith(said[one["verdict"]])
        assert cells[3] == audit_words.evidence(one)
        assert cells[1].split(" ")[0] == audit_words.value(one).split(" ")[0]
        assert (" to " in cells[1]) == (one["interval"] is not None)


def test_figures_limits_and_what_has_none() -> None:
    found = rows(page())
    assert found["baselines/border"][1:3] == ["0.810 0.720 to 0.880", "0.7"]
    assert found["robustness/noise_ct/roc_auc"][1:3] == ["0.040 −0.020 to 0.110", "0.05"]
    assert found["evidence/patients"][1:3] == ["3 named", "none"]
    assert found["evidence/split"][1:3] == ["–", "none"]
    assert found["evidence/split"][3] == "These are the cases of the split 'train'."
    assert found["calibration/slope"][1:3] == ["0.300 no interval", "0.5"]
    assert found["labels/contradicted"][1:3] == ["–", "none"]


def test_failures_come_first_then_what_cannot_be_told_and_passes_are_folded() -> None:
    text = page().text
    assert text.index("4 of 13 findings fail.") < text.index("What fails") < text.index("What cannot be told")
    assert text.index("What cannot be told") < text.index("What passes") < text.index("Part evidence")
    assert "7 cannot be told, 2 pass." in text
    folds = [e for e in page().all("details") if "within their limits" in e.text]
    assert len(folds) == 1
    assert "open" not in folds[0].attributes
    reasons = [e.text for e in page().all("h3") if "(1)" in e.text]
    assert all("open" in e.attributes for e in page().all("details") if e.text.startswith(tuple(reasons)))
    assert reasons == [f"{said} (1)" for kind, said in audit_words.REASONS.items() if kind != "plainer"]


def test_a_part_without_a_table_or_chart_shows_its_figures() -> None:
    content = held(report(FINDINGS[10:12]))
    part, cells = content["parts"][0], content["parts"][-1]
    bare = {**content, "parts": [{**part, "tables": []}]}
    full = {**content, "parts": [{**part, "tables": cells["tables"]}]}
    said = "Distance of the calibration slope from 1: 0.300, limit 0.5. What was seen of calibration/slope."
    assert sum(said in e.text for e in Page(audit_page.render(bare)).all("li")) == 1
    unknown = Page(audit_page.render(held(report(FINDINGS[12:]))))
    assert "cannot be told Labels that the model contradicts: What was seen of labels/contradicted." in unknown.text
    named = [e.text for e in Page(audit_page.render(held(report(FINDINGS[:2])))).all("li")]
    assert not [text for text in named if "Patients that were trained on" in text]
    assert said not in Page(audit_page.render(full)).text


def test_a_column_of_dashes_alone_does_not_stand_to_the_right() -> None:
    table = {"columns": ["group", "reaches", "threshold"], "rows": [["a", None, 0.1], ["b", None, None]]}
    assert [audit_page._numeric(table, i) for i in range(3)] == [False, False, True]


def test_many_findings_of_one_reason_are_folded() -> None:
    made = page("crowded")
    fold = next(e for e in made.all("details") if "(100)" in e.text[:90])
    assert "open" not in fold.attributes
    assert "50 of 200 findings fail." in made.text
    assert "100 cannot be told, 50 pass." in made.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "Nothing was judged: no check gave a finding."),
        ("passes", "Everything that was judged stays within its limits. That is no proof that nothing is wrong."),
    ],
)
def test_no_verdict_says_more_than_was_found(name: str, said: str) -> None:
    for made in (page(name), sheet(name)):
        assert said in made.text
        assert not re.search(r"\bsafe\b|\bbias", made.text)
        assert not made.all("div")[0].attributes.get("role")


def test_every_kind_of_cell_is_told_as_words_tell_it() -> None:
    cells = {row[0]: row[1] for row in page().apart if row and row[0].startswith("row ")}
    assert list(cells.values()) == [
        "a text", "1,234", "0.250", "0.00012", "−7", "4,322", "0.123 0.050 to 0.200", "– too few patients", "–", "–",
    ]  # fmt: skip
    assert ["a", "< 0.001", "0.250"] in page().rows
    assert ["cell made-ct", "–", "0.040"] in page().rows
    assert any(e.text.startswith("Long (40 rows)") for e in page().all("details"))


def test_parts_have_their_tables_notes_counts_and_charts() -> None:
    text = page().text
    assert "Findings: 2 fail, 1 cannot be told. Fails: Patients that were trained on; How the test cases" in text
    assert "table made-ct. table note made-ct" in text
    assert "note made-ct" in text
    assert "No finding." in text
    labels = [e.attributes["aria-label"] for e in page().all("svg") if e.attributes.get("role") == "img"]
    assert labels == ["chart made-ct", "nothing"]
    assert "nothing: nothing could be measured" in text


def test_what_was_audited_and_what_was_not_is_said() -> None:
    said = "Bundle ab12ab12ab12… on somewhere, split test: 120 patients (130 cases), 60 with stroke."
    assert said in page().text
    assert said in sheet().text
    assert "Not looked at" not in page().text
    assert f"Not looked at: {', '.join(name for name in ORDER if name != 'skull')}." in page("empty").text
    assert "1 case could not be predicted or measured." in page().text
    assert "case made-ct: failure made-ct" in page().text
    assert ["audit.robustness.roc_auc", "0.05"] in page().rows
    assert ["audit.robustness.corruptions", "all"] in page().rows
    assert "--set audit.robustness.roc_auc=0.03" in page().text
    assert page().text.count(LIMITS) == 2


def test_a_limit_that_is_not_judged_says_so() -> None:
    facts = made_audit.facts(limits={"skull": {"roc_auc": None}})
    made = Page(audit_page.render(held(report(facts=facts))))
    assert ["audit.skull.roc_auc", "not judged"] in made.rows


@pytest.mark.parametrize("which", RENDER)
@pytest.mark.parametrize("name", MADE)
def test_nothing_comes_from_outside_and_a_screen_reader_finds_its_way(name: str, which: str) -> None:
    html = RENDER[which](held(MADE[name]()))
    made = Page(html)
    assert not made.all("script", "link", "iframe", "img", "object", "base", "form")
    assert not re.search(r"https?:|@import|url\(", html)
    ids = Counter(e.attributes["id"] for e in made.elements if "id" in e.attributes)
    assert set(ids.values()) <= {1}
    assert {e.attributes["href"][1:] for e in made.all("a")} <= set(ids)
    headings = [int(e.tag[1]) for e in made.all("h1", "h2", "h3")]
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(e.text for e in made.all("h1", "h2", "h3", "th", "summary", "figcaption", "caption"))
    assert all("scope" in e.attributes for e in made.all("th"))
    assert made.all("html")[0].attributes["lang"] == "en"


@pytest.mark.parametrize("which", RENDER)
def test_text_from_outside_stays_text(which: str) -> None:
    def worded(word: str) -> Page:
        one = replace(found("evidence/x"), check=f"evidence/{word}", evidence=f"Evidence {word}")
        facts = made_audit.facts(word, question=f"question {word}", cohort=f"cohort {word}", positive=word, split=word)
        return Page(RENDER[which](held(report((*FINDINGS, one), word, facts=facts))))

    made = worded(HOSTILE)
    assert [e.tag for e in made.elements] == [e.tag for e in worded(HARMLESS).elements]
    assert not [name for e in made.elements for name in e.attributes if name.startswith("on")]
    places = {"sheet": ("question",), "page": ("question", "Evidence", "note", "table", "failure", "cell", "column")}
    for place in places[which]:
        assert f"{place} {HOSTILE}" in made.text


def test_the_files_are_written_whole_and_the_pages_made_anew_are_the_same(tmp_path: Path) -> None:
    out = tmp_path / "audit"
    paths = audit_page.write(plain(), out)
    assert [path.name for path in paths] == ["audit.html", "summary.html", "audit.json", "audit-cases.parquet"]
    first = {path: path.read_bytes() for path in paths}
    record = json.loads(paths[2].read_text())
    assert record["kind"] == "audit"
    assert record["limits"] == LIMITS
    assert record["origin"]["insula"]
    assert record["cases"]["columns"] == ["case", "patient", "x"]
    pd.testing.assert_frame_equal(pd.read_parquet(paths[3]), plain().table)
    for path in paths[:2]:
        path.write_text("old")
    (out / "other.txt").write_text("stays")
    assert audit_page.rewrite(out) == paths[:2]
    assert {path: path.read_bytes() for path in paths} == first
    assert len(list(out.iterdir())) == 5


@pytest.mark.parametrize("content", ["{}", "[1]", '{"kind": "audit", "schema": 99}', '{"kind": "comparison"}', "{"])
def test_what_is_no_audit_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(EvaluationError, match="audit again"):
        audit_page.rewrite(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


def test_another_table_of_cases_is_refused_and_a_missing_one_is_not(tmp_path: Path) -> None:
    paths = audit_page.write(plain(), tmp_path)
    pd.DataFrame({"case": ["x"]}).to_parquet(paths[3])
    with pytest.raises(EvaluationError, match="not the table"):
        audit_page.rewrite(tmp_path)
    paths[3].unlink()
    assert audit_page.rewrite(tmp_path) == paths[:2]
    paths[2].unlink()
    with pytest.raises(EvaluationError, match=r"has no audit\.json"):
        audit_page.rewrite(tmp_path)


def test_a_page_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    broken = replace(plain(), facts={"recipe": "x"})
    with pytest.raises(KeyError):
        audit_page.write(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_terminal_is_told_what_failed_and_how_much_cannot_be_told() -> None:
    lines = audit_page.summary(plain()).splitlines()
    assert lines[1] == "4 of 13 findings fail. 7 cannot be told, 2 pass."
    assert "  Fails: baselines/border: 0.810 (0.720 to 0.880), limit 0.7" in lines
    assert "    It orders the patients with a ROC-AUC of 0.810." in lines
    assert "  Fails: evidence/split" in lines
    assert len([line for line in lines if line.startswith("  Cannot be told (1): ")]) == 7
    assert lines[-2:] == ["1 case could not be predicted or measured; the first: case made-ct: failure made-ct", LIMITS]
    crowd = audit_page.summary(made_audit.crowded(verdict="fail"))
    assert "180 more fail; the page has them all." in crowd
    assert len(crowd.splitlines()) < 50


def test_many_failures_are_folded() -> None:
    failures = tuple(Failure(f"c{i}", "too dark") for i in range(30))
    made: AuditReport = report(failures=failures)
    folds = [e for e in Page(audit_page.render(held(made))).all("details") if e.text.startswith("30 cases")]
    assert len(folds) == 1
    assert folds[0].text.count("too dark") == 30


def test_the_sheet_has_five_of_the_gravest_and_what_to_do() -> None:
    made = sheet("real")
    lists = [e.text for e in made.all("li")]
    assert lists[0].startswith("Patients that were trained on: 3 named. 3 of 120 patients here")
    assert len([e for e in made.all("span") if e.attributes.get("class") == "line"]) == 5
    assert "9 more fail" in made.text
    assert "Give every case its patient's id, split again by patient" in made.text
    for line in ("Name", "Date", "Signature"):
        assert line in [e.text for e in made.all("span")]
    assert "No finding fails." in sheet("empty").text
