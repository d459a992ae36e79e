"""Scans and pictures that are not what the model was made for: how many are refused, flagged, or taken as sound."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults import made_pictures, made_wrong
from tests.faults.made_model import trained
from tests.faults.made_series import Files, heads, said, write
from tests.faults.made_wrong import Wrong
from tests.faults.tally import Tally, sizes
from tests.scans import bundled
from tests.tiny_bundle import make as tiny

from insula.bundle.types import Bundle
from insula.core.errors import InsulaError
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.scans.read import read

SEED = 12  # of heads on which no model was trained
REAL = Path(os.environ.get("INSULA_REAL_SCANS", Path(__file__).parents[3] / "shared" / "data"))


@dataclass(frozen=True)
class Judge:
    """Who says what becomes of a scan: a model, by all that it does; without one, by what is told before the network.

    sound: the sound heads; warned: what is said of each of them, which tells nothing of what is wrong in another.
    """

    predictor: Predictor
    model: bool
    sound: list[Files]
    warned: list[frozenset[str]]

    def of(self, path: Path, usual: frozenset[str] = frozenset()) -> tuple[str, str]:
        """refused, flagged or taken, and a word of why."""
        try:
            if not self.model:
                _, said = self.predictor.prepare(read(path))
                return ("flagged", "warning") if set(said) - usual else ("taken", "")
            found = self.predictor.path(path)
        except InsulaError as error:
            return "refused", type(error).__name__
        decision = decide(found, self.predictor.bundle)
        if decision.action == "reject":
            return "refused", "distance"
        if set(found.warnings) - usual:
            return "flagged", "warning"
        return ("flagged", "domain") if "domain" in decision.kinds else ("taken", "")

    def kinds(self, make: Callable[[Files, int, Path], Path], folder: Path) -> tuple[Counter[str], Counter[str]]:
        """What became of every head after it was made wrong, and why."""
        outcomes, reasons = Counter[str](), Counter[str]()
        for number, files in enumerate(self.sound):
            path = make(files, number, folder / str(number))
            outcome, why = self.of(path, self.warned[number])
            outcomes[outcome] += 1
            reasons.update([why] if why else [])
            shutil.rmtree(folder / str(number))
        return outcomes, reasons


def judge(bundle: Bundle, folder: Path, count: int, model: bool) -> Judge:
    predictor, sound = Predictor(bundle, threads=1), heads(folder / "heads", count, SEED)
    warned = []
    for files in sound:
        path = write(files, folder / "sound")
        warned.append(frozenset(predictor.prepare(read(path))[1]))
        shutil.rmtree(path)
    return Judge(predictor, model, sound, warned)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("short")
    return judge(tiny(folder), folder, 2, model=False)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder = tmp_path_factory.mktemp("full")
    yield judge(trained(folder / "model"), folder, 60, model=True)
    shutil.rmtree(folder)


@pytest.fixture
def judging(request: pytest.FixtureRequest, form: str) -> Judge:
    """The judge of the test's form."""
    found: Judge = request.getfixturevalue(form)
    return found


def count(tally: Tally, what: str, found: tuple[Counter[str], Counter[str]], wrong: Wrong) -> None:
    """Write a kind down and hold it against its goal."""
    outcomes, reasons = found
    numbers = {name: outcomes[name] for name in ("refused", "flagged", "taken")}
    why = {"by": ", ".join(f"{name} {n}" for name, n in reasons.most_common())} if reasons else {}
    rates = tally.rates(what, outcomes.total(), **numbers, goal=wrong.goal, figures=why)
    if not wrong.unmet:
        good = rates.refused if wrong.refused else rates.refused + rates.flagged
        assert good >= wrong.least * rates.tried, (what, rates)


def as_series(wrong: Wrong) -> Callable[[Files, int, Path], Path]:
    return lambda files, number, folder: write(wrong.make(files, number), folder)


FULL = [pytest.mark.faults, pytest.mark.timeout(3600)]
SERIES = [
    *(pytest.param("short", kind, id=f"{kind}-short") for kind, wrong in made_wrong.ALL.items() if wrong.header_alone),
    *(pytest.param("full", kind, id=f"{kind}-full", marks=FULL) for kind in made_wrong.ALL),
]


@pytest.mark.parametrize(("form", "kind"), SERIES)
def test_a_wrong_series_is_refused_or_flagged(kind: str, judging: Judge, tally: Tally, tmp_path: Path) -> None:
    wrong = made_wrong.ALL[kind]
    count(tally, kind, judging.kinds(as_series(wrong), tmp_path), wrong)


@sizes("form", "short", "full")
@pytest.mark.parametrize("kind", made_pictures.KINDS)
def test_a_picture_is_refused_or_flagged(kind: str, judging: Judge, tally: Tally, tmp_path: Path) -> None:
    wrong = Wrong(said(), 1.0, "a picture holds no Hounsfield units", "grey" not in kind or "DICOM" not in kind)
    count(tally, kind, judging.kinds(made_pictures.KINDS[kind], tmp_path), wrong)


@sizes("form", "short", "full")
def test_sound_heads_are_taken(form: str, judging: Judge, tally: Tally, tmp_path: Path) -> None:
    outcomes, reasons = judging.kinds(lambda files, number, folder: write(files, folder), tmp_path)
    rates = tally.rates(
        "nothing wrong: heads like those of the training",
        outcomes.total(),
        **{name: outcomes[name] for name in ("refused", "flagged", "taken")},
        goal="at least 80% taken: 5% are expected beyond the limit, which rests on few heads",
        figures={"by": ", ".join(reasons)} if reasons else {},
    )
    assert rates.taken >= 0.8 * rates.tried


@sizes("form", "short", "full")
@pytest.mark.parametrize("kind", made_wrong.TRUTHFUL)
def test_what_the_header_tells_changes_no_answer(kind: str, judging: Judge, tally: Tally, tmp_path: Path) -> None:
    failed, most = 0, 0.0
    for number, files in enumerate(judging.sound):
        plain = judging.predictor.path(write(files, tmp_path / f"plain-{number}"))
        turned = judging.predictor.path(write(made_wrong.TRUTHFUL[kind](files, number), tmp_path / f"turned-{number}"))
        apart = float(abs(plain.probabilities - turned.probabilities).max())
        most = max(most, apart)
        failed += apart > 1e-5 or set(turned.warnings) != set(plain.warnings)
    tally.tried(
        f"the same head, {kind}: the same answer",
        len(judging.sound),
        failed=failed,
        figures={"largest difference": most},
    )


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_foreign_dicom_files_are_refused_or_flagged(full: Judge, tally: Tally, tmp_path: Path) -> None:
    outcomes, reasons = _files(full, list(bundled.files().values()))
    wrong = Wrong(said(), 1.0, "other organs, other modalities, pictures, no pictures")
    count(tally, "every file of pydicom's test sets", (outcomes, reasons), wrong)


@pytest.mark.faults
@pytest.mark.data
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not REAL.is_dir(), reason="the real scans are not here")
@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("real CT slices saved as pictures", "stroke_ct/**/*.jpg"),
        ("real MR slices saved as pictures", "brain_tumor_mri/Testing/**/*.jpg"),
        ("real scouts and summaries of a CT examination", "ct_dicom/In/Philips/**/*"),
    ],
)
def test_real_strangers_are_refused_or_flagged(what: str, pattern: str, full: Judge, tally: Tally) -> None:
    paths = sorted(path for path in REAL.glob(pattern) if path.is_file())
    assert paths, pattern
    step = max(1, len(paths) // 200)
    count(tally, what, _files(full, paths[::step]), Wrong(said(), 1.0, "no Hounsfield units, or no slices"))


@pytest.mark.faults
@pytest.mark.data
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not REAL.is_dir(), reason="the real scans are not here")
def test_a_real_head_is_no_made_head(full: Judge, tally: Tally) -> None:
    outcomes, reasons = _files(full, [REAL / "ct_dicom" / "In" / "GE"])
    wrong = Wrong(said(), 1.0, "the model saw made heads alone, so that a real one has to be unlike them")
    count(tally, "a real head CT", (outcomes, reasons), wrong)


def _files(judge: Judge, paths: list[Path]) -> tuple[Counter[str], Counter[str]]:
    outcomes, reasons = Counter[str](), Counter[str]()
    for path in paths:
        outcome, why = judge.of(path)
        outcomes[outcome] += 1
        reasons.update([why] if why else [])
    return outcomes, reasons
