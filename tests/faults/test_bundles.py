"""A bundle that was changed or that lies is refused, and the live model answers on as before."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.made_bundles import another, changes, liars, lying, structures
from tests.faults.made_doors import growth
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.bundle.load import load
from insula.core.errors import BundleError
from insula.serve.models.trial import tried

pytestmark = pytest.mark.serve
SEED = 20261126
MODELS = "/api/v1/models"
MOST = 250 << 20


@pytest.fixture(autouse=True)
def form() -> str:
    """Which form of a test runs: both try the same where there is no more to try."""
    return "short"


def refused(path: Path) -> str:
    """The error of a bundle that is opened, "" where it is taken."""
    try:
        load(path)
    except BundleError as error:
        return str(error)
    return ""


@sizes("count", 110, 6_000)
def test_no_changed_byte_passes(count: int, tmp_path: Path, tally: Tally) -> None:
    sound = make(tmp_path).path
    assert not refused(sound)
    passed = []
    with tally.log("changes.log").open("w") as log:
        for what, change in changes(sound, SEED, count):
            place = tmp_path / "changed"
            shutil.copytree(sound, place)
            change(place)
            told = refused(place)
            print(what, told[:160], sep="\t", file=log)
            passed += [] if told else [what]
            shutil.rmtree(place)
    tally.tried("single files of a bundle changed: bits, bytes, cuts, ends", count, failed=len(passed))


@sizes("form", "short", "full")
def test_no_changed_set_of_files_passes(tmp_path: Path, tally: Tally) -> None:
    sound = make(tmp_path).path
    passed, count = [], 0
    for what, change in structures(sound):
        place = tmp_path / f"set-{count}" / "bundle"
        shutil.copytree(sound, place)
        change(place)
        passed += [] if refused(place) else [what]
        count += 1
    assert count == 11 * 8 + 3
    tally.tried("files of a bundle removed, renamed, doubled, linked, replaced", count, failed=len(passed))
    assert not passed


CHEAP = tuple(
    name
    for name in liars()
    if "GB" not in name and "TB" not in name and "of another" not in name and "operator" not in name
)


@sizes("names", CHEAP, tuple(liars()))
def test_a_bundle_that_lies_with_a_manifest_that_fits_is_refused(
    names: tuple[str, ...], tmp_path: Path, tally: Tally
) -> None:
    made, passed, most = liars(), [], 0
    with tally.log("liars.log").open("w") as log:
        for number, name in enumerate(names):
            path = lying(tmp_path / str(number), made[name])

            def told(path: Path = path) -> str:
                try:
                    tried(path, seconds=60.0)
                except BundleError as error:
                    return str(error)
                return ""

            said, grown = growth(told) if name in CHEAP else (told(), 0)
            print(name, said[:200], grown >> 20, sep="\t", file=log)
            most = max(most, grown)
            passed += [] if said else [name]
    assert most < MOST
    tally.tried("bundles whose manifest fits and whose contents lie", len(names), failed=len(passed))
    assert not passed


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Made]:
    (tmp_path / "models").mkdir()
    bundle = make(tmp_path, unit="series")
    address = f"sqlite:///{tmp_path}/insula.db"
    with service(bundle, address, tmp_path, models=tmp_path / "models") as found:
        yield found


@sizes("count", 11, 330)
def test_the_live_model_answers_on_while_bad_bundles_are_added(
    count: int, site: Made, tmp_path: Path, tally: Tally
) -> None:
    home, sound = tmp_path / "models", tmp_path / "other" / "bundle"
    another(tmp_path / "other", 9.0)
    reader, admin = site.client("reader"), site.client("admin")
    sent = [("file", ("a.dcm", dicom()))]
    first = reader.post("/predict", files=sent).json()
    before = admin.get(MODELS).json()
    stop, answers = threading.Event(), []

    def predict() -> None:
        while not stop.is_set():
            answers.append(reader.post("/predict", files=sent).json())

    thread = threading.Thread(target=predict)
    thread.start()
    taken = []
    try:
        for number, (what, change) in enumerate(changes(sound, SEED + 1, count)):
            place = home / f"b{number}"
            shutil.copytree(sound, place)
            change(place)
            answer = admin.post(MODELS, json={"name": place.name})
            taken += [] if answer.status_code == 422 and "/tmp" not in answer.text else [(what, answer.text)]
            shutil.rmtree(place)
        names = ("..", "../other/bundle", str(sound), "a/../b", "x\0", "", ".", "b" * 9000, "C:\\x", "\u202eb")
        for name in names:
            answer = admin.post(MODELS, json={"name": name})
            taken += [] if answer.status_code in (400, 404, 422) else [(name, answer.text)]
    finally:
        stop.set()
        thread.join(120)
    assert not thread.is_alive()
    other = [one for one in answers if one != first]
    changed = admin.get(MODELS).json() != before
    tally.tried(
        "bad bundles added while others predict",
        count + len(names),
        failed=len(taken) + len(other) + changed,
        figures={"predictions meanwhile": float(len(answers))},
    )
    assert not taken
