"""The page of a store: sound markup, nothing from outside, and what somebody with mouse, keyboard or phone can do."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.infer.made_store import make
from tests.report.browser import CHROMIUM, Tab, browser
from tests.report.parsed import Page

from insula.evaluate.features import Asked, Features, look
from insula.report import features_page

QUICK = Asked(maps=("pca", "tsne"), perplexity=5, replicates=50, shuffles=19)
HOSTILE = """</script><img src=x onerror=alert(1)> "{{ 7 * 7 }}" <!--"""
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Features:
    return look(make(tmp_path_factory.mktemp("store") / "s", scanner=3.0), QUICK)


def data_of(html: str) -> dict[str, Any]:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert text is not None
    held: dict[str, Any] = json.loads(text[1])
    return held


def test_nothing_comes_from_outside_and_only_this_script_may_run(found: Features) -> None:
    html = features_page.render(found)
    page = Page(html)
    assert not page.all("link", "iframe", "object", "embed", "base")
    assert not re.search(r"https?:|@import|url\(|\bfetch\(|XMLHttp|\beval\(|innerHTML", html)
    assert all(e.attributes["src"].startswith("data:image/jpeg;base64,") for e in page.all("img"))
    policy = next(e.attributes["content"] for e in page.all("meta") if e.attributes.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert not [name for e in page.elements for name in e.attributes if name.startswith("on") or name == "style"]


def test_the_data_are_the_stores(found: Features) -> None:
    held, store = data_of(features_page.render(found)), found.store
    assert held["cases"] == list(store.index["case"])
    assert [m["title"] for m in held["maps"]] == ["PCA", "t-SNE"]
    size = np.abs(found.planes[0].places).max()
    assert np.array(held["maps"][0]["x"]) * size == pytest.approx(found.planes[0].places[:, 0], abs=1e-4 * size)
    columns = {c["title"]: c for c in held["columns"]}
    label = columns["class"]
    assert [label["values"][code] for code in label["codes"]] == list(store.index["label"])
    right = columns["right or wrong"]
    assert right["values"] == ["right", "wrong"]
    assert right["codes"] == [int(text == "no") for text in store.index["right"]]
    assert columns["probability of stroke"]["numbers"] == pytest.approx(store.numbers("p_stroke"), abs=1e-4)
    assert columns["age"]["ends"] == [20, 59]
    assert columns["scanner"]["colour"] is True
    assert columns["note"]["colour"] is False
    assert "distance from training" not in columns  # nobody knows it here
    assert base64.b64decode(held["pictures"][7]) == store.thumbnail(7)


def test_figures_and_outliers_stand_on_the_page(found: Features) -> None:
    page = Page(features_page.render(found))
    judged = zip(page.rows[1:4], ("Class", "scanner", "age"), strict=True)
    assert all(row[0].startswith(name) for row, name in judged)
    assert page.text.count("Trustworthiness") == 2
    banners = [e.text for e in page.all("div") if e.attributes.get("class") == "banner"]
    assert "'scanner' apart as well as the class" in banners[0]
    outliers = [e for e in page.all("figure") if e.attributes.get("class") == "outlier"]
    assert len(outliers) == 24
    first = found.store.index["case"][int(found.rows[found.outlying.order[0]])]
    assert first in outliers[0].text
    assert "it is empty" in page.text
    assert "not a medical device" in page.text


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    cases = [f"{HOSTILE}{i}" for i in range(80)]
    more = {
        "case": cases,
        "patient": cases,
        "label": ["stroke", "normal"] * 40,
        "attribute.scanner": [HOSTILE, "b"] * 40,
    }
    found = look(make(tmp_path / "s", more=more), Asked(maps=("pca",), replicates=20, shuffles=9))
    html = features_page.render(found)
    page = Page(html)
    assert data_of(html)["cases"] == cases
    assert len(page.all("script")) == 2
    assert not [e for e in page.all("img") if e.attributes["src"] == "x"]
    assert not [name for e in page.elements for name in e.attributes if name.startswith("on")]


def test_the_number_of_pictures_is_bounded_and_the_important_ones_are_kept(found: Features) -> None:
    kept = features_page.picture_rows(found, 50)
    assert len(kept) == len(set(kept)) == 50
    assert set(found.outlying.order[:24].tolist()) <= set(kept)
    assert {i for i in range(80) if found.store.index["right"][i] == "no"} <= set(kept)
    html = features_page.render(found, 10)
    assert sum(bool(one) for one in data_of(html)["pictures"]) == 10
    assert "holds thumbnails of 10 of these cases" in html


def test_many_values_share_a_colour_and_no_number_is_lost(tmp_path: Path) -> None:
    ward = [f"ward {i % 11}" for i in range(80)]
    weight = ["" if i % 4 == 0 else str(50 + i) for i in range(80)]
    store = make(tmp_path / "s", more={"attribute.ward": ward, "attribute.weight": weight})
    held = data_of(features_page.render(look(store, Asked(maps=("pca",), replicates=20, shuffles=9))))
    columns = {c["title"]: c for c in held["columns"]}
    assert (len(columns["ward"]["values"]), columns["ward"]["own"]) == (11, 7)
    assert columns["weight"]["numbers"][:3] == [None, 51, 52]


def test_a_rejected_case_has_its_place_and_no_probability(tmp_path: Path) -> None:
    store = make(tmp_path / "s", rejected=(4, 9))
    held = data_of(features_page.render(look(store, Asked(maps=("pca",), replicates=20, shuffles=9))))
    assert [i for i, p in enumerate(held["p"]) if p is None] == [4, 9]
    columns = {c["title"]: c for c in held["columns"]}
    for name in ("normal", "stroke"):
        assert [i for i, p in enumerate(columns[f"probability of {name}"]["numbers"]) if p is None] == [4, 9]
    said = columns["predicted class"]
    assert {said["values"][said["codes"][i]] for i in (4, 9)} == {"rejected"}
    assert columns["what the policy does"]["values"] == ["accepted", "rejected"]


@needs_chromium
def test_the_card_of_a_rejected_case_says_so(tmp_path: Path) -> None:
    found = look(make(tmp_path / "s", rejected=range(80)), Asked(maps=("pca",), replicates=20, shuffles=9))
    (tmp_path / "page.html").write_text(features_page.render(found), encoding="utf-8")
    with browser(tmp_path) as tab:
        tab.open(tmp_path / "page.html", ready="document.documentElement.dataset.ready === '80'")
        tab.run("document.querySelector('[data-point]').click()")
        assert "The policy rejects this scan, so there is no answer." in tab.run(
            "document.getElementById('point').textContent"
        )
        assert tab.run("document.querySelectorAll('#point .bar').length") == 0
        assert tab.errors == []


def test_places_and_distances_as_a_table(found: Features) -> None:
    rows = list(csv.DictReader(io.StringIO(features_page.table(found))))
    assert [row["case"] for row in rows] == list(found.store.index["case"])
    assert float(rows[5]["tsne_2"]) == pytest.approx(found.planes[1].places[5, 1], rel=1e-4)
    assert float(rows[5]["mahalanobis"]) == pytest.approx(found.outlying.mahalanobis[5], rel=1e-4)


@pytest.fixture(scope="module")
def tab(found: Features, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("chromium")
    (folder / "page.html").write_text(features_page.render(found), encoding="utf-8")
    with browser(folder) as opened:
        opened.open(folder / "page.html", ready="document.documentElement.dataset.ready === '80'")
        yield opened


def canvas(tab: Tab) -> list[float]:
    tab.run("document.querySelector('.tools').scrollIntoView()")
    found: list[float] = tab.run(
        "(() => { const r = document.getElementById('plot').getBoundingClientRect(); "
        "return [r.left, r.top, r.width, r.height] })()"
    )
    return found


def ink(tab: Tab) -> int:
    """How many pixels of the map are painted."""
    tab.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    found: int = tab.run(
        "(() => { const c = document.getElementById('plot'); const d = c.getContext('2d').getImageData(0, 0, c.width, "
        "c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i] > 200) n++; return n })()"
    )
    return found


@needs_chromium
def test_it_opens_from_a_file_and_asks_for_nothing(tab: Tab) -> None:
    assert tab.errors == []
    assert {url.partition(":")[0] for url in tab.requests} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in tab.requests) == 1
    assert ink(tab) > 2000
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")


@needs_chromium
def test_keys_show_a_case_and_go_to_the_next(tab: Tab) -> None:
    x, y, width, _ = canvas(tab)
    tab.click(x + width / 2, y + 8)
    tab.key("Escape")
    tab.key("ArrowRight")
    first = tab.run("document.querySelector('#point h3').textContent")
    assert re.fullmatch(r"c\d{3}", first)
    assert tab.run("document.querySelector('#point img').src").startswith("data:image/jpeg")
    assert "probability" not in tab.run("document.querySelector('#point dl').textContent")
    tab.key("ArrowRight")
    assert tab.run("document.querySelector('#point h3').textContent") != first
    tab.key("Escape")
    assert tab.run("document.querySelector('#point h3')") is None


@needs_chromium
def test_pointing_shows_the_case_that_lies_there(tab: Tab, found: Features) -> None:
    tab.run("document.getElementById('fit').click()")
    x, y, width, height = canvas(tab)
    places = found.planes[0].places
    low, high = places.min(axis=0), places.max(axis=0)
    scale = 0.92 * min(width / (high[0] - low[0]), height / (high[1] - low[1]))
    middle = (low + high) / 2
    i = int(np.abs(places - places.mean(axis=0)).sum(axis=1).argmax())  # one that lies apart
    at = (x + width / 2 + (places[i, 0] - middle[0]) * scale, y + height / 2 - (places[i, 1] - middle[1]) * scale)
    tab.mouse("Moved", *at)
    assert tab.run("document.querySelector('#point h3').textContent") == found.store.index["case"][i]


@needs_chromium
def test_the_legend_hides_and_the_search_finds(tab: Tab) -> None:
    before = ink(tab)
    tab.run("document.querySelector('#keys button').click()")
    assert tab.run("document.querySelector('#keys button').getAttribute('aria-pressed')") == "false"
    assert ink(tab) < 0.8 * before
    assert tab.run("document.getElementById('count').textContent") == "40 of 80 cases stand out."
    tab.run("document.querySelector('#keys button').click()")
    find = "(() => { const f = document.getElementById('find'); f.value = %r; f.dispatchEvent(new Event('input')) })()"
    tab.run(find % "P003")
    assert tab.run("document.getElementById('count').textContent") == "2 of 80 cases stand out."
    tab.run(find % "")
    assert tab.run("document.getElementById('count').textContent") == ""


@needs_chromium
def test_colours_maps_zoom_and_outliers(tab: Tab, found: Features) -> None:
    select = (
        "(() => { const s = document.getElementById('by'); s.value = [...s.options].find((o) => o.text === %r).value; "
        "s.dispatchEvent(new Event('change')); return document.getElementById('keys').textContent })()"
    )
    assert "AX" in tab.run(select % "scanner")
    assert tab.run(select % "age").startswith("20")
    tab.run("document.querySelectorAll('input[name=map]')[1].click()")
    assert tab.run("document.getElementById('x').textContent") == "t-SNE 1 →"
    x, y, width, _ = canvas(tab)
    tab.click(x + width / 2, y + 8)
    before = ink(tab)
    for _ in range(4):
        tab.mouse("Wheel", x + 5, y + 5, deltaX=0, deltaY=-400)
    assert ink(tab) < before  # most of the map lies outside now
    tab.key("0", "0")
    assert abs(ink(tab) - before) < 0.2 * before
    tab.run("document.querySelector('[data-point]').click()")
    first = found.store.index["case"][int(found.rows[found.outlying.order[0]])]
    assert tab.run("document.querySelector('#point h3').textContent") == first
    assert [text for text in tab.errors if "getImageData" not in text] == []  # this file reads the map back


@needs_chromium
def test_a_phone_scrolls_down_and_not_sideways(tab: Tab, found: Features, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(features_page.render(found), encoding="utf-8")
    tab.open(tmp_path / "page.html", 390, 844, "document.documentElement.dataset.ready === '80'")
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert tab.run("Math.min(...[...document.querySelectorAll('.tools button')].map((b) => b.offsetHeight))") >= 36
