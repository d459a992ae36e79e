from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.made_arrays import recipe
from tests.workflows.made_search import SPACE, bowl, searched

from insula.core import recipe as recipes
from insula.core.errors import TrainingError
from insula.workflows import search_page, search_plots, search_space, search_study
from insula.workflows.search_metric import METRICS
from insula.workflows.search_results import Search, Trial, of_study, table, write
from insula.workflows.search_space import Choices, Range, with_values

pytestmark = pytest.mark.train


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        held = dict(attrs)
        if tag == "tr":
            self.rows.append(held.get("class") or "")
        self.outside += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "data")]


def learning(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
    if trial.number == 4:
        raise TrainingError("The loss became <nan> & that was that.")
    return climbing(trial, values)


def climbing(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
    for epoch in range(1, 11):
        trial.report(bowl(values) + 1 / epoch, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return bowl(values)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    place = tmp_path_factory.mktemp("study") / "search.db"
    return searched(f"sqlite:///{place}", 24, learning, pruner="median", seed=2)


def test_the_files_hold_the_search(search: Search, tmp_path: Path) -> None:
    page = write(search, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"best.yaml", "trials.csv", "search.json", "search.html"}
    assert search.best is not None
    best = recipes.load(tmp_path / "best.yaml")
    assert best == with_values(recipe(), search.best.values)
    assert best.train.lr == search.best.values["train.lr"]
    assert best.train.epochs == recipe().train.epochs
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert len(rows) == 24
    row = rows[search.best.number]
    assert float(row["score"]) == search.best.score
    assert float(row["train.lr"]) == search.best.values["train.lr"]
    assert (rows[4]["state"], rows[4]["reason"]) == ("failed", "The loss became <nan> & that was that.")
    facts = json.loads((tmp_path / "search.json").read_text())
    counts = facts["counts"]
    assert counts == {s: sum(r["state"] == s for r in rows) for s in counts}
    assert counts["pruned"] > 0
    assert facts["best"] == {
        "trial": search.best.number,
        "score": search.best.score,
        "values": dict(search.best.values),
    }
    assert facts["space"]["model.encoder"] == {"values": ["simple_cnn", "resnet18"]}
    assert "biased downwards" in facts["optimism"]
    assert "biased upwards" in replace(search, metric=METRICS["auc"]).optimism
    assert page.name == "search.html"


def test_the_page_needs_nothing_beside_itself_and_marks_every_trial(search: Search) -> None:
    text = search_page.render(search)
    page = Page(text)
    assert page.outside == []
    assert "script" not in page.tags
    assert page.rows.count("pruned") == len(search.of("pruned")) > 0
    assert page.rows.count("failed") == len(search.of("failed")) == 1
    assert page.rows.count("used") == 1
    assert "The loss became &lt;nan&gt; &amp; that was that." in text
    assert search.optimism in text
    assert "Test split</th><td>not opened" in text
    for title in ("History of the search", "Values on the way", "Parallel coordinates", "Score by train.lr"):
        assert f'aria-label="{title}"' in text


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_the_key_that_matters_most_leads_whether_trials_were_pruned_or_not(pruner: str, search: Search) -> None:
    for seed in range(4):  # by the bowl's variance train.lr has 85%, model.encoder 15%, model.dropout 0.03%
        study = optuna.create_study(
            sampler=search_study.sampler("random", SPACE, seed), pruner=search_study.pruner(pruner, 10)
        )
        study.optimize(lambda trial: climbing(trial, search_space.suggest(trial, SPACE)), n_trials=40)
        found = of_study(study, SPACE, recipe(), METRICS["val_loss"], {"seed": seed})
        assert (len(found.of("pruned")) > 5) == (pruner == "median")
        assert sum(found.importances.values()) == pytest.approx(1.0)
        assert max(found.importances, key=lambda key: found.importances[key]) == "train.lr"
    few = optuna.create_study()
    assert of_study(few, SPACE, recipe(), METRICS["val_loss"], {"seed": 0}).importances == {}


def flat(scores: list[float], space: Mapping[str, Range | Choices], search: Search) -> Search:
    """A search of two values of one key that all trials agree on, or that stands at the ends of its range."""
    key, entry = next(iter(space.items()))
    ends = entry.ends()
    made = tuple(Trial(i, "complete", s, {key: ends[i % len(ends)]}, 1.0, {1: s}) for i, s in enumerate(scores))
    return replace(search, space=space, trials=made, best=made[0] if made else None, importances={})


def test_history_falls_to_the_best_so_far(search: Search) -> None:
    few = flat([0.5, 0.7, 0.3, 0.4], {"train.lr": Range(1e-4, 1e-2, log=True)}, search)
    drawing = search_plots.history(few)
    assert drawing is not None
    line = drawing.svg.split('<path d="M')[-1].split('"')[0]
    heights = [float(point.split(" ")[1]) for point in line.split("L")]
    assert len(heights) == 5  # down a step at the third trial
    assert heights == sorted(heights)
    assert heights[-1] > heights[0]


@pytest.mark.parametrize(
    ("scores", "space"),
    [
        ([0.5, 0.5], {"train.lr": Range(1e-4, 1e-2, log=True)}),
        ([0.5], {"train.lr": Range(2e-4, 3e-4, log=True)}),
        ([0.5, 0.6], {"inputs.mri.prep": Choices(([{"resize": 32}], [{"resize": 64}]))}),
        ([], {"train.epochs": Range(1, 4, whole=True)}),
    ],
)
def test_few_or_equal_trials_make_a_page_too(
    scores: list[float], space: Mapping[str, Range | Choices], search: Search
) -> None:
    few = flat(scores, space, search)
    text = search_page.render(few)
    assert re.search(r"\bnan\b", text, re.IGNORECASE) is None
    assert ("No trial is complete yet." in text) == (not scores)
    assert Page(text).outside == []
    assert len(search_plots.drawings(few)) == (2 if scores else 0)


def test_no_cell_is_taken_for_a_formula(search: Search) -> None:
    odd = replace(search.trials[0], state="failed", reason="=1+2")
    assert ",'=1+2" in table(replace(search, trials=(odd,)))
