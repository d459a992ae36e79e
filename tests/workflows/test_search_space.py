from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from tests.made_arrays import recipe

from insula.core.errors import RecipeError, UsageError
from insula.core.recipe import Recipe
from insula.workflows import search_space
from insula.workflows.search_metric import METRICS, check_keys, check_metric
from insula.workflows.search_space import Choices, Range

pytestmark = pytest.mark.train
PREP = [[{"percentile": [0, 100]}, {"resize": 32}], [{"percentile": [1, 99]}, {"resize": 32}]]


def loaded(folder: Path, content: Any) -> dict[str, Range | Choices]:
    path = folder / "space.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return search_space.load(path)


def checked(folder: Path, content: Any, base: Recipe | None = None) -> dict[str, Range | Choices]:
    return search_space.check(loaded(folder, content), base or recipe())


def test_the_space_is_read_with_numbers_as_yaml_writes_them(tmp_path: Path) -> None:
    text = """
    train.lr: {low: 1e-5, high: 1e-2, log: true}
    train.batch: {low: 8, high: 35, step: 8}
    train.augment.rotate: {low: 0, high: 20}
    train.epochs: {low: 5, high: 9}
    model.encoder: {choices: [simple_cnn, resnet18]}
    """
    space = checked(tmp_path, text)
    assert space == {
        "train.lr": Range(1e-5, 1e-2, log=True),
        "train.batch": Range(8, 32, step=8, whole=True),
        "train.augment.rotate": Range(0, 20),
        "train.epochs": Range(5, 9, whole=True),
        "model.encoder": Choices(("simple_cnn", "resnet18")),
    }


def test_every_drawn_value_makes_a_recipe_that_holds_it(tmp_path: Path) -> None:
    space = checked(
        tmp_path,
        {
            "train.lr": {"low": 1e-4, "high": 1e-1, "log": True},
            "train.batch": {"low": 4, "high": 16, "step": 4},
            "train.class_weights": {"choices": [True, False]},
            "inputs.mri.prep": {"choices": PREP},
        },
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    batches, preps = set(), set()
    for _ in range(30):
        trial = study.ask()
        values = search_space.suggest(trial, space)
        made = search_space.with_values(recipe(), values)
        assert (made.train.lr, made.train.batch) == (values["train.lr"], values["train.batch"])
        assert made.train.class_weights is values["train.class_weights"]
        assert made.inputs["mri"].prep[0].params["value"] == values["inputs.mri.prep"][0]["percentile"]
        assert search_space.decoded(trial.params, space) == values
        assert made.seed == recipe().seed
        batches.add(made.train.batch)
        preps.add(repr(made.inputs["mri"].prep))
    assert batches == {4, 8, 12, 16}
    assert len(preps) == 2


def test_a_true_is_not_taken_for_a_one() -> None:
    choices = Choices((1, True, 1.0, None, "1", [1]))
    assert [(type(v), v) for v in map(choices.of, choices.labels)] == [(type(v), v) for v in choices.values]


def test_a_grid_holds_every_value(tmp_path: Path) -> None:
    space = checked(
        tmp_path,
        {
            "model.dropout": {"low": 0.0, "high": 0.3, "step": 0.1},
            "train.epochs": {"low": 2, "high": 4},
            "model.pool": {"choices": ["mean", "max"]},
        },
    )
    found = search_space.grid(space)
    assert found["model.dropout"] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert found["train.epochs"] == [2, 3, 4]
    assert found["model.pool"] == ["mean", "max"]
    with pytest.raises(RecipeError, match=r"values of 'train.lr'"):
        search_space.grid({"train.lr": Range(0.1, 0.2)})
    with pytest.raises(RecipeError, match="20000 points"):
        search_space.grid({"a": Range(1, 200, whole=True), "b": Range(1, 100, whole=True)})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", "holds no keys"),
        ("a: {low: [", "not valid YAML"),
        ({"train.lr": 3}, "'train.lr' = 3"),
        ({"train.lr": {"low": 1}}, "'train.lr' has low;"),
        ({"train.lr": {"low": 1, "high": 2, "hihg": 3}}, "hihg"),
        ({"train.lr": {"low": 2, "high": 1}}, "low 2 must be below high 1"),
        ({"train.lr": {"low": "a", "high": 1}}, "low = 'a': give a number"),
        ({"train.lr": {"low": True, "high": 2}}, "low = True"),
        ({"train.lr": {"low": 0, "high": 1, "log": True}}, "log needs a low above 0"),
        ({"train.lr": {"low": 1, "high": 2, "log": "yes"}}, "log = 'yes'"),
        ({"train.lr": {"low": 1, "high": 2, "step": 3}}, "step 3 must lie between"),
        ({"model.pool": {"choices": ["mean"]}}, "two values or more"),
        ({"model.pool": {"choices": ["mean", "mean"]}}, "repeat a value"),
        ({"train.augment": {"choices": [{}, {"flip": 0}]}, "train.augment.flip": {"low": 0, "high": 1}}, "within it"),
    ],
)
def test_a_space_that_cannot_be_read_is_refused(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said.replace("[", r"\[")):
        loaded(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"train.lrr": {"low": 0.1, "high": 1}}, r"'train\.lrr'.*unknown key"),
        ({"train.epochs": {"low": 0, "high": 5}}, r"'train\.epochs': no trial with 0 "),
        ({"model.dropout": {"low": 0, "high": 1}}, r"'model\.dropout': no trial with 1\.0 "),
        ({"train.batch": {"low": 1.5, "high": 3}}, r"'train\.batch': no trial with 1\.5 "),
        ({"train.precision": {"choices": ["fp32", "fp64"]}}, r"'train\.precision': no trial with 'fp64'"),
        ({"model.encoder": {"choices": ["simple_cnn", "resnet1888"]}}, "no encoder 'resnet1888'"),
        ({"inputs.mri.tiles.size": {"low": 8, "high": 16}}, r"'inputs\.mri\.tiles\.size'"),
        ({"inputs.mri.prep": {"choices": [*PREP, [{"rezise": 3}]]}}, "no preparation step 'rezise'"),
        ({"model.normalise.mean": {"choices": [[0.1, 0.2], [0.3, 0.4]]}}, "None of the combinations"),
    ],
)
def test_a_key_that_no_trial_could_load_is_refused_by_name(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        checked(tmp_path, content)


def test_values_that_only_go_together_are_taken(tmp_path: Path) -> None:
    both = {
        "model.normalise.mean": {"choices": [[0.1, 0.2], [0.3]]},
        "model.normalise.std": {"choices": [[0.1, 0.2], [0.3]]},
    }
    assert len(checked(tmp_path, both)) == 2


@pytest.mark.parametrize(
    ("key", "metric", "said"),
    [
        ("policy.passes", "auc", "no part in training"),
        ("seed", "auc", "cannot be compared"),
        ("targets.tumour.classes", "auc", "cannot be compared"),
        ("model.members", "auc", "trains one network"),
        ("train.focal", "val_loss", "--metric log_loss"),
        ("train.loss_weights.tumour", "val_loss", "--metric log_loss"),
        ("train.balance", "val_loss", "--metric log_loss"),
        ("inputs.mri.unit", "val_loss", "--metric log_loss"),
    ],
)
def test_keys_that_would_make_scores_meaningless_are_refused(key: str, metric: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_keys([key], METRICS[metric], recipe())


def test_other_keys_and_metrics_are_taken() -> None:
    check_keys(["train.focal", "train.lr", "model.encoder", "inputs.mri.prep"], METRICS["auc"], recipe())
    check_keys(["train.lr", "train.batch", "train.mixup"], METRICS["val_loss"], recipe())
    with pytest.raises(UsageError, match="no metric 'f1' to search by; choose from val_loss, auc"):
        check_metric("f1", recipe())


def test_batches_are_fixed_where_the_loss_has_risk_sets() -> None:
    content = recipe().model_dump(mode="json", by_alias=True)
    content["targets"]["death"] = {"kind": "survival", "time": "days", "event": "died"}
    both = Recipe.model_validate(content)
    with pytest.raises(RecipeError, match=r"'train\.batch' changes how the validation loss"):
        check_keys(["train.batch"], METRICS["val_loss"], both)
    check_keys(["train.batch"], METRICS["auc"], both)
