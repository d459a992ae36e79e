"""Size, time and accuracy of several forms of a model: the front, the figures, the page, and the verb."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.test_evaluate import insula
from tests.tiny_bundle import parts, weights
from tests.tiny_cohort import make

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.cohort import table
from insula.core.errors import EvaluationError, UsageError
from insula.evaluate.compare import Entry
from insula.evaluate.facts import of_recipe
from insula.evaluate.tradeoff import front, tradeoff
from insula.infer.engine import Engine
from insula.infer.pace import in_turn, quartiles
from insula.metrics.compare import delong, holm
from insula.report import tradeoff_page

Made = Callable[..., Bundle]


def test_the_front_holds_what_no_other_point_dominates() -> None:
    points = [(4.0, 10.0, -0.9), (1.0, 4.0, -0.9), (1.0, 12.0, -0.95), (2.0, 4.0, -0.85), (1.0, 4.0, -0.9)]
    assert front(points) == {1, 2, 4}
    assert front([(1.0, 1.0, float("nan")), (1.0, 2.0, -0.5)]) == {0, 1}
    assert front([]) == set()


def entry(bundle: Bundle, name: str, p: np.ndarray, keys: list[str]) -> Entry:
    y = np.array([int(key[1:]) % 2 for key in keys])
    negative, positive = bundle.recipe.target.classes
    rows = {"case": keys, "patient": keys, f"y_{negative}": y == 0, f"y_{positive}": y == 1}
    rows |= {f"p_{negative}": 1 - p, f"p_{positive}": p}
    return Entry(name, bundle.id, pd.DataFrame(rows), of_recipe(bundle.recipe, {positive: 0.5, negative: 0.5}))


def test_each_form_is_held_against_the_first_on_the_patients_that_all_have(tiny_bundle: Made) -> None:
    bundle = tiny_bundle()
    keys = [f"k{i}" for i in range(40)]
    rng = np.random.default_rng(4)
    truth = np.array([i % 2 for i in range(40)])
    ps = [np.clip(0.3 + 0.4 * truth + rng.normal(0, s, 40), 0.01, 0.99) for s in (0.1, 0.25, 0.4)]
    entries = [entry(bundle, name, p, keys) for name, p in zip("abc", ps, strict=True)]
    entries[2] = Entry(**{**vars(entries[2]), "table": entries[2].table.iloc[:-2]})
    found = tradeoff([bundle] * 3, entries, [[2.0, 4.0, 3.0]] * 3, 1, None, {"cohort": "x"})
    y, cut = truth[:38] == 1, [p[:38] for p in ps]
    right = [delong(y, p, cut[0]) for p in cut[1:]]
    assert found.patients == 38
    assert any("2 cases of a were not predicted by all others" in note for note in found.notes)
    for form, expected, p in zip(found.forms[1:], right, holm([r.p_value for r in right]), strict=True):
        assert form.difference is not None
        assert form.difference.value == pytest.approx(expected.difference.value)
        assert form.difference.interval == pytest.approx(expected.difference.interval)
        assert form.adjusted == pytest.approx(p)
    assert found.forms[0].difference is None
    assert found.forms[0].agreement.value == 1.0
    same = np.mean((cut[1] >= 0.5) == (cut[0] >= 0.5))
    assert found.forms[1].agreement.value == pytest.approx(same)
    assert found.forms[0].ms == (2.5, 3.0, 3.5)
    size = sum((bundle.path / name).stat().st_size for name in ("model.onnx", "head.onnx"))
    assert {form.bytes for form in found.forms} == {size}
    assert [form.front for form in found.forms] == [True, False, False]
    said = tradeoff_page.markdown(found).splitlines()
    assert len(said) == 5
    assert said[2].startswith("| a: as trained | ")
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_was_done_is_told_through_all_steps(tiny_bundle: Made) -> None:
    made = {"optimised": {"method": "int8", "made_from": {"method": "channels"}}}
    bundle = tiny_bundle()
    changed = Bundle(**{**vars(bundle), "metrics": {**bundle.metrics, **made}})
    keys = [f"k{i}" for i in range(8)]
    entries = [entry(bundle, name, np.linspace(0.1, 0.9, 8), keys) for name in "ab"]
    found = tradeoff([bundle, changed], entries, [[1.0], [1.0]], 1, None, {})
    assert [tradeoff_page.said_how(form.how) for form in found.forms] == [
        "as trained",
        "8-bit integers of fewer channels",
    ]


def test_engines_are_run_in_turn_on_the_same_cases(tiny_bundle: Made) -> None:
    bundle = tiny_bundle()
    engine = Engine(bundle, 1)
    order: list[int] = []

    class Told:
        def __init__(self, number: int) -> None:
            self.number = number

        def run(self, feed: object) -> None:
            order.append(self.number)

    times = in_turn([Told(0), Told(1)], [[{}, {}], [{}, {}]], rounds=2)  # type: ignore[list-item]
    assert order == [0, 1, *([0, 1] * 4)]
    assert [len(each) for each in times] == [4, 4]
    shape = engine.input_shapes["ct"]
    feed = {"ct": np.zeros((1, 1, *shape), np.float32), "ct_mask": np.ones((1, 1, 1), np.float32)}
    low, middle, high = quartiles(in_turn([engine], [[feed]], 5)[0])
    assert 0 < low <= middle <= high


def test_the_verb_writes_a_page_and_counts_one_look(
    tiny_bundle: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSULA_LOOKS", str(tmp_path / "register.jsonl"))
    cohort = make(tmp_path / "scans", patients=12)
    table.save(cohort, tmp_path / "cohort.parquet")
    one = tiny_bundle()
    other = save(tmp_path / "other", parts(one.recipe, weights(1, 2, seed=5)))
    out = tmp_path / "out"
    asked = ("pareto", one.path, other.path, "--cohort", tmp_path / "cohort.parquet", "--out", out)
    assert insula(monkeypatch, *asked, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [form["bundle"] for form in told["forms"]] == [one.id, other.id]
    assert (told["looks"]["number"], told["looks"]["models"]) == (1, 2)
    page = (out / "pareto.html").read_text()
    assert "On the front" in page
    assert page.count("<svg role") == 2
    assert "| form | encoder | MB |" in (out / "pareto.md").read_text()
    assert insula(monkeypatch, "pareto", one.path, *asked[3:]) == UsageError.exit_code
    assert "nothing to be held against" in capsys.readouterr().err
    assert insula(monkeypatch, "pareto", one.path, one.path, *asked[3:]) == UsageError.exit_code
    assert "named twice" in capsys.readouterr().err


def test_models_of_other_questions_are_refused(tiny_bundle: Made) -> None:
    bundle = tiny_bundle()
    keys = [f"k{i}" for i in range(6)]
    one = entry(bundle, "a", np.linspace(0.1, 0.9, 6), keys)
    other = entry(bundle, "b", np.linspace(0.1, 0.9, 6), [f"m{i}" for i in range(6)])
    with pytest.raises(EvaluationError, match="no case in common"):
        tradeoff([bundle, bundle], [one, other], [[1.0], [1.0]], 1, None, {})
