"""How fast the dashboard's pages are, in Debian's Chromium with WebGL by software (make bench-pages).

The service is `insula serve` with records on SQLite, as a process of its own; its bundle is set by hand, since what
is measured is the pages. Five made head CTs of 28 slices of 512². A click on the worklist begins; the first slice is
seen in the frame after the viewer's picture has come, whether the service drew it or the browser. Scrolling is 60
steps of the wheel, each waiting until its slice is drawn. JavaScript is counted as the browser loads it, gzipped one by
one. The worklist of 100,000 studies is asked for over HTTP by somebody who is logged in, until its last byte.

Goals: first slice within 1 s, 20 frames a second, 400 kB of JavaScript on the case page and 30 kB on every other, the
worklist within 200 ms. `--quick` takes fewer and smaller ones and judges nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from machine import described
from playwright.sync_api import Browser, Page, Response, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pages_rows import fill  # noqa: E402 - beside this file
from tests.browser import made_bundle  # noqa: E402 - a bundle without training

from insula.bundle.types import Bundle  # noqa: E402
from insula.client import Client  # noqa: E402
from insula.cohort.phantom.make import make  # noqa: E402
from insula.serve.people import keys, projects, users  # noqa: E402
from insula.serve.store.connect import connect, writing  # noqa: E402
from insula.serve.store.migrate import upgrade  # noqa: E402
from insula.serve.store.schema import now  # noqa: E402

WHO, PHRASE = "bench", "a long enough phrase"
PAGES = (
    *("/login", "/about", "/documents", "/reference", "/privacy", "/security", "/worklist", "/upload", "/history"),
    *("/queue", "/trail", "/glass", "/people", "/projects", "/account", "/models", "/monitoring", "/training"),
)
GOALS = {"first_slice_s": 1.0, "frames": 20.0, "case_kb": 400.0, "other_kb": 30.0, "worklist_ms": 200.0}
AT_LEAST = ("frames",)
SAID = {
    "first_slice_s": "seconds from the click on the worklist until a slice is seen, median",
    "first_slice_worst_s": "the same, the slowest",
    "volume_s": "seconds until the volume is there, to be scrolled and windowed, median",
    "frames": "slices a second over {steps} steps of the wheel, median",
    "case_kb": "kB of JavaScript on the case page with three planes, gzipped",
    "other_kb": "kB of JavaScript on the page with most of it otherwise ({most})",
    "worklist_ms": "ms for the worklist of {rows:,} studies, median",
    "worklist_worst_ms": "the same, the slowest of {asked}",
    "worklist_search_ms": "ms for a search in it by a part of a patient's key, median",
}


@dataclass(frozen=True)
class Size:
    """studies of so many slices and pixels a side; steps of the wheel; rows of the worklist, asked for so often."""

    studies: int
    slices: int
    side: int
    steps: int
    rows: int
    asked: int


FULL = Size(studies=5, slices=28, side=512, steps=60, rows=100_000, asked=30)
QUICK = Size(studies=2, slices=12, side=256, steps=12, rows=2_000, asked=5)


@dataclass(frozen=True, eq=False)
class Served:
    """A service with its project and a key of everything."""

    address: str
    database: str
    project: str
    key: str


CLICKED = """
addEventListener('click', (e) => sessionStorage.setItem('clicked', performance.timeOrigin + e.timeStamp), true);
const told = (name, holds) => {
  const look = () => {
    if (holds()) requestAnimationFrame(() => { window[name] = performance.timeOrigin + performance.now(); });
    else requestAnimationFrame(look);
  };
  look();
};
addEventListener('DOMContentLoaded', () => {
  const viewer = document.querySelector('#viewer');
  if (!viewer) return;
  const image = viewer.querySelector('.viewer-picture');
  const volume = () => viewer.dataset.state === 'ready' && viewer.dataset.stage === 'slices';
  told('sliceSeen', () => volume() || (image && !image.hidden && image.complete && image.naturalWidth > 1));
  told('volumeSeen', volume);
});
"""
SCROLL = """
async (steps) => {
  const stage = document.querySelector('.viewer-stage');
  const box = stage.getBoundingClientRect();
  const shown = document.querySelector('[data-count="2"]');
  const slider = document.querySelector('[data-plane="2"]');
  const frame = () => new Promise(requestAnimationFrame);
  let way = 1, count = 0;
  const begun = performance.now();
  while (count < steps) {
    if (slider.value === slider.max) way = -1;
    if (slider.value === slider.min) way = 1;
    const before = shown.textContent;
    stage.dispatchEvent(new WheelEvent('wheel', { deltaY: 120 * way, bubbles: true, cancelable: true,
      clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }));
    while (shown.textContent === before) await frame();
    await frame();
    count += 1;
  }
  return count / (performance.now() - begun) * 1000;
}
"""


@contextmanager
def serving(folder: Path, bundle: Bundle) -> Iterator[Served]:
    """`insula serve` with records, with somebody who may do everything."""
    database = f"sqlite:///{folder}/insula.db"
    engine = connect(database)
    upgrade(engine)
    at = now()
    with writing(engine) as connection:
        project = projects.create(connection, "Bench", at).id
        who = users.create(connection, WHO, "admin", at, password=PHRASE, projects_in=[project])
        key = keys.create(connection, who.id, "bench", keys.scopes_for("admin"), at + timedelta(days=1), at)
    engine.dispose()
    environment = {
        "INSULA_DATABASE": database,
        "INSULA_FILES": str(folder / "files"),
        "INSULA_TRAIL_KEY": "t" * 40,
        "INSULA_TRAIL_HEADS": str(folder / "heads.jsonl"),
        "INSULA_PER_MINUTE": "0",
    }
    insula = str(Path(sys.executable).with_name("insula"))
    process = subprocess.Popen(
        [insula, "serve", str(bundle.path), "--port", "0"],
        env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline().split("http://127.0.0.1:")[1].split()[0]
        yield Served(f"http://127.0.0.1:{port}", database, project, key.shown)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def send(served: Served, folder: Path, size: Size) -> list[str]:
    """Upload and predict made head CTs; the patients' keys."""
    made = make("haemorrhage-ct", folder / "phantoms", size.studies, 0, size.side, size.slices)
    found = []
    with Client(served.address, served.key) as client:
        for place in sorted((made / "dicom").iterdir()):
            client.predict_study(client.upload(place, served.project, place.name))
            found.append(place.name)
    return found


def entered(browser: Browser, served: Served) -> Page:
    """A page of somebody who has logged in, in a browser without a cache of before."""
    context = browser.new_context(base_url=served.address, viewport={"width": 1280, "height": 900})
    context.add_init_script(CLICKED)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Name").fill(WHO)
    page.get_by_label("Password").fill(PHRASE)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda address: "/login" not in address)
    return page


def opening(page: Page, patients: list[str]) -> dict[str, float]:
    """Open each case once by a click on the worklist."""
    first, drawn = [], []
    for patient in patients:
        page.goto("/worklist")
        page.wait_for_load_state("load")
        page.get_by_role("link", name=patient).click()
        page.wait_for_function("() => window.sliceSeen && window.volumeSeen", timeout=60_000)
        clicked, seen, volume = page.evaluate(
            "[Number(sessionStorage.getItem('clicked')), window.sliceSeen, window.volumeSeen]"
        )
        first.append((seen - clicked) / 1000)
        drawn.append((volume - clicked) / 1000)
    return {
        "first_slice_s": statistics.median(first),
        "first_slice_worst_s": max(first),
        "volume_s": statistics.median(drawn),
    }


def scripts(browser: Browser, served: Served, case: str) -> dict[str, float]:
    """kB of JavaScript of each page, gzipped one file at a time, in a browser that has none of it yet."""
    found = {}
    state = entered(browser, served).context.storage_state()
    for path in (case, *PAGES):
        context = browser.new_context(base_url=served.address, storage_state=state)
        page, loaded = context.new_page(), dict[str, Response]()
        page.on("response", lambda one, loaded=loaded: loaded.setdefault(one.url, one))
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        page.wait_for_load_state("networkidle")
        if path == case:  # what shows three planes is loaded when it is asked for
            page.get_by_role("button", name="Three planes").click()
            page.locator('#viewer[data-stage="planes"]').wait_for(timeout=60_000)
        bodies = [one.body() for one in loaded.values() if "javascript" in one.headers.get("content-type", "")]
        found[path] = sum(len(gzip.compress(body, 6)) for body in bodies) / 1000
        context.close()
    return found


def listing(served: Served, size: Size) -> dict[str, float]:
    """ms for the worklist's HTML, and for a search in it."""
    with httpx.Client(base_url=served.address, timeout=60) as client:
        answer = client.post("/api/v1/session", json={"name": WHO, "password": PHRASE})
        cookie = answer.raise_for_status().headers["set-cookie"].partition(";")[0]
        headers = {"cookie": cookie, "accept": "text/html"}  # a client of http does not keep a cookie for https

        def asked(path: str) -> list[float]:
            times = []
            for _ in range(size.asked + 1):
                begun = time.perf_counter()
                found = client.get(path, headers=headers)
                times.append(1000 * (time.perf_counter() - begun))
                assert found.status_code == 200, found.status_code
                assert "B-" in found.text
            return times[1:]

        plain, search = asked("/worklist"), asked(f"/worklist?text=B-{size.rows // 2:06d}")
    return {
        "worklist_ms": statistics.median(plain),
        "worklist_worst_ms": max(plain),
        "worklist_search_ms": statistics.median(search),
    }


def measure(work: Path, size: Size) -> tuple[dict[str, float], dict[str, float]]:
    """All figures, and kB of JavaScript by page."""
    chromium = shutil.which("chromium")
    assert chromium, "there is no Chromium; run: scripts/system-packages browser"
    bundle = made_bundle.make(work / "bundle")
    with serving(work, bundle) as served, sync_playwright() as driver:
        patients = send(served, work, size)
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        page = entered(browser, served)
        figures = opening(page, patients)
        figures["frames"] = statistics.median(float(page.evaluate(SCROLL, size.steps)) for _ in range(3))
        by_page = scripts(browser, served, page.url.removeprefix(served.address))
        browser.close()
        case, *others = by_page.values()
        figures |= {"case_kb": case, "other_kb": max(others)}
        fill(served.database, served.project, bundle.id, size.rows)
        figures |= listing(served, size)
    return figures, by_page


def met(name: str, value: float) -> bool:
    return value >= GOALS[name] if name in AT_LEAST else value <= GOALS[name]


def said(name: str, by_page: Mapping[str, float], size: Size) -> str:
    others = {path: kb for path, kb in by_page.items() if not path.startswith("/studies/")}
    most = max(others, key=lambda path: others[path])
    return SAID[name].format(steps=size.steps, rows=size.rows, asked=size.asked, most=most)


def page_of(figures: Mapping[str, float], by_page: Mapping[str, float], size: Size, machine: str) -> str:
    """The table of all figures with their goals."""
    lines = [
        "# How fast the pages are",
        "",
        "Written by `python benchmarks/pages.py --write docs/results/pages.md`: Debian's Chromium with WebGL by",
        f"software, service and browser on one machine: {machine}.",
        f"{size.studies} made head CTs of {size.slices} slices of {size.side}² pixels; records on SQLite.",
        "",
        "| | figure | goal | |",
        "|---|---:|---:|---|",
    ]
    for name in SAID:
        goal = f"{'≥' if name in AT_LEAST else '≤'} {GOALS[name]:g}" if name in GOALS else ""
        word = ("met" if met(name, figures[name]) else "missed") if name in GOALS else ""
        lines.append(f"| {said(name, by_page, size)} | {figures[name]:.2f} | {goal} | {word} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller ones, and no judgement")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page of docs/results")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    before = os.getloadavg()[0]
    work = Path(tempfile.mkdtemp(prefix="insula-bench-"))
    try:
        figures, by_page = measure(work, size)
    finally:
        shutil.rmtree(work)
    machine = f"{described(os.cpu_count() or 1, _browser())}; load before {before:.1f}"
    print(machine)
    for name, value in figures.items():
        goal = f"{'≥' if name in AT_LEAST else '≤'} {GOALS[name]:g}" if name in GOALS else ""
        print(f"{value:>10.2f} {goal:>8}  {said(name, by_page, size)}")
    print("kB of JavaScript: " + ", ".join(f"{path.split('/')[1]} {kb:.1f}" for path, kb in by_page.items()))
    holds = all(met(name, figures[name]) for name in GOALS)
    rounded = {name: round(value, 3) for name, value in figures.items()}
    told = {"bench": "pages", "machine": machine, "load": before, "quick": given.quick}
    print(json.dumps({**told, "figures": rounded, "goals": GOALS, "holds": holds}))
    if given.write:
        given.write.write_text(page_of(figures, by_page, size, machine), encoding="utf-8")
    return 0 if holds or given.quick else 1


def _browser() -> str:
    found = subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=True)
    return " ".join(found.stdout.split()[:2])


if __name__ == "__main__":
    raise SystemExit(main())
