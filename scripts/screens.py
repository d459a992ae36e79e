"""Pictures of every page in both themes, into docs/screens (make screens).

The service stands over the bundle of a demo (`insula demo`) with its people and phantom studies, whose patients get
invented names here, and answers of three months beside them for the charts. Wide pictures are 1280 pixels across;
worklist, case and report are also shown as on a phone, 390 across. Pictures have a palette, to be small.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import insert, select, update

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.clinic import watched  # noqa: E402 - ninety answers for the charts
from tests.browser.pages import NOBODY, PAGES, Look  # noqa: E402 - the pages that there are

from insula.bundle.load import load  # noqa: E402
from insula.serve.app import create_app  # noqa: E402
from insula.serve.run import socket_on  # noqa: E402
from insula.serve.service import Service  # noqa: E402
from insula.serve.store import schema  # noqa: E402
from insula.serve.store.connect import reading, writing  # noqa: E402
from insula.workflows.demo_records import Records, records_of_demo  # noqa: E402

RECIPE = "haemorrhage-ct"
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
ALSO_PHONE = ("worklist", "case", "report")
LEFT_OUT = (
    "case-reviewed",
    "case-waiting",
    "models-compared",
    "audit",
    "audit-sheet",
    "not-for-you",
    "queue-unlabelled",
)
ROLES = {"reviewer": "ben", "reader": "cleo", "admin": "ada", "auditor": "ada"}
NAMES = (
    *("Adler, Ida", "Brandt, Otto", "Clarke, Ann", "Diaz, Luz", "Evans, Tom", "Fischer, Jan", "Garcia, Eva"),
    *("Haas, Nina", "Ivers, Paul", "Jung, Lea", "Keller, Max", "Lindt, Rosa", "Moreau, Guy", "Novak, Petra"),
)
COLOURS = 256
MOST_BYTES = 6_000_000


@dataclass(frozen=True, eq=False)
class Stage:
    """A service to take pictures of."""

    address: str
    password: str
    places: Mapping[str, str]
    studies: Mapping[str, str]


@contextmanager
def served(demo: Path, work: Path) -> Iterator[Stage]:
    """The dashboard over a demo, with records of its own in a folder that goes away."""
    for one in demo.iterdir():
        if one.name != "service":
            (work / one.name).symlink_to(one.absolute())
    bundle = work / "model" / RECIPE
    shutil.copytree(demo / "bundle", bundle)
    made = records_of_demo(work, RECIPE, bundle, 0, print)
    app = create_app(made.settings.model_copy(update={"runs": demo}))
    service: Service = app.state.service
    place = socket_on("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    try:
        yield furnished(service, made, f"http://127.0.0.1:{place.getsockname()[1]}", load(bundle).id)
    finally:
        server.should_exit = True
        thread.join(60)


def furnished(service: Service, made: Records, address: str, bundle_id: str) -> Stage:
    """Names for the patients, something for the charts, and which study shows what."""
    recipe = load(made.settings.bundle or Path()).recipe
    target = recipe.target
    with writing(service.records) as connection:
        phantoms = select(schema.patients.c.id).where(schema.patients.c.key.like("PH-____"))
        ordered = connection.scalars(phantoms.order_by(schema.patients.c.key)).all()
        for name, patient in zip(NAMES, ordered, strict=False):
            connection.execute(update(schema.patients).where(schema.patients.c.id == patient).values(name=name))
    watched(service, bundle_id, recipe.target_name, (f"no {target.positive}", target.positive))
    with writing(service.records) as connection:
        study = connection.scalar(select(schema.studies.c.id).order_by(schema.studies.c.seq.desc()).limit(1))
        who = connection.scalar(select(schema.users.c.id).where(schema.users.c.name == "cleo"))
        opened = {"user_id": who, "study_id": study, "reason": "Called in at night to give a second opinion."}
        connection.execute(insert(schema.glass).values(ends_at=schema.now() + timedelta(hours=1), **opened))
    with reading(service.records) as connection:
        rows = connection.execute(
            select(schema.predictions)
            .where(schema.predictions.c.job_id.is_not(None))
            .order_by(schema.predictions.c.seq)
        ).all()
        failed = connection.scalar(select(schema.jobs.c.study_id).where(schema.jobs.c.state.in_(("failed", "dead"))))
        project = rows[0].project_id
    found = [one for one in rows if one.action == "accept" and one.label == target.positive]
    accepted = max(found or rows, key=lambda one: one.confidence)
    referred = next((one for one in rows if one.action == "refer"), accepted)
    with reading(service.records) as connection:
        user = connection.scalar(select(schema.users.c.id).where(schema.users.c.name == "ben"))
    return Stage(
        address,
        made.password,
        {
            "bundle_id": bundle_id,
            "project_id": project,
            "user_id": str(user),
            "name": "reading",
            "run": "run",
            "prediction_id": accepted.id,
        },
        {"accepted": accepted.study_id, "referred": referred.study_id, "refused": str(failed)},
    )


def entered(browser: Browser, stage: Stage, name: str, theme: str) -> BrowserContext:
    """A browser of somebody who is in."""
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(
        base_url=stage.address, viewport=WIDE, color_scheme=scheme, locale="en-GB", timezone_id="UTC",
        reduced_motion="reduce",
    )  # fmt: skip
    context.add_cookies([{"name": "insula-theme", "value": theme, "url": stage.address}])
    if name:
        page = context.new_page()
        page.goto("/login")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(stage.password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda address: "/login" not in address)
        page.close()
    return context


def ready(page: Page, look: Look) -> None:
    """Wait until a page shows what it will show."""
    page.wait_for_load_state("networkidle")
    if look.name.startswith("case") and page.locator("#viewer").count():
        viewer = page.locator("#viewer")
        expect(viewer).to_have_attribute("data-state", "ready", timeout=60_000)
        heat = viewer.get_by_label("Show heat")
        if look.name == "case" and heat.is_visible():
            with page.expect_response(lambda one: "heat.nii.gz" in one.url):
                heat.set_checked(True)
            expect(viewer.locator('[data-show="wait"]')).to_be_empty(timeout=60_000)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def taken(page: Page, path: Path) -> int:
    """Write what the window shows; how many bytes it has."""
    shown = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    drawn = shown.quantize(COLOURS, dither=Image.Dither.NONE)
    drawn.save(path, optimize=True)
    return path.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--demo", type=Path, default=ROOT / "runs" / "demo", help="folder of a finished demo")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screens")
    parser.add_argument("--only", help="the name of one page")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no Chromium; run: scripts/system-packages browser", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    work, size = Path(tempfile.mkdtemp(prefix="insula-screens-")), 0
    try:
        with served(given.demo, work) as stage, sync_playwright() as driver:
            arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--hide-scrollbars"]
            browser = driver.chromium.launch(executable_path=chromium, args=arguments)
            for theme in ("light", "dark"):
                size += pictures(browser, stage, theme, given.out, given.only)
            browser.close()
    finally:
        shutil.rmtree(work)
    print(f"{size / 1e6:.1f} MB in {given.out}")
    return 0 if size <= MOST_BYTES else 1


def pictures(browser: Browser, stage: Stage, theme: str, out: Path, only: str | None) -> int:
    """All pictures of a theme; their bytes."""
    contexts, size = {}, 0
    for look in PAGES:
        if look.name in LEFT_OUT or (only and look.name != only):
            continue
        name = ROLES.get(look.role, NOBODY)
        if name not in contexts:
            contexts[name] = entered(browser, stage, name, theme)
        page = contexts[name].new_page()
        answer = page.goto(look.address(stage.places, stage.studies))
        assert answer is not None
        assert answer.status == look.status, f"{look.name}: {answer.status}"
        ready(page, look)
        size += taken(page, out / f"{look.name}-{theme}.png")
        if look.name in ALSO_PHONE:
            page.set_viewport_size(PHONE)  # type: ignore[arg-type]
            page.wait_for_load_state("networkidle")
            size += taken(page, out / f"{look.name}-{theme}-phone.png")
        page.close()
    for one in contexts.values():
        one.close()
    return size


if __name__ == "__main__":
    raise SystemExit(main())
