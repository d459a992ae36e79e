"""Several inputs, clinical columns and targets in one recipe: how they lie, and what cannot be together."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from insula.core import recipe as recipes
from insula.core.errors import RecipeError
from insula.core.recipe import ClinicalColumn, Model, Recipe, Target

CT: dict[str, Any] = {"modality": "CT", "prep": [{"windows": [[40, 80]]}, {"resize": 32}]}
MR: dict[str, Any] = {"modality": "MR", "prep": [{"percentile": [1, 99]}, {"resize": 32}]}
PLAIN: dict[str, Any] = {
    "name": "made",
    "question": "Is there anything?",
    "inputs": {"ct": CT, "mri": MR},
    "clinical": {"age": {}, "sex": {"kind": "category", "values": ["F", "M"]}},
    "targets": {
        "tumour": {"kind": "multiclass", "classes": ["none", "benign", "malignant"], "primary": "malignant"},
        "stage": {"kind": "ordinal", "classes": ["I", "II", "III", "IV"]},
        "death": {"kind": "survival", "time": "days", "event": "dead"},
        "volume": {"kind": "regression", "column": "ml"},
        "bleed": {"kind": "binary", "classes": ["no", "yes"]},
    },
    "model": {"encoder": "simple_cnn"},
}


def made(**change: Any) -> Recipe:
    return recipes.parse({**PLAIN, **change}, "made")


def test_the_first_role_and_target_have_the_headline_and_columns_lie_side_by_side() -> None:
    recipe = made()
    assert (recipe.role, recipe.target_name, recipe.target.positive) == ("ct", "tumour", "malignant")
    assert recipe.input == recipe.inputs["ct"]
    assert list(recipe.further) == ["stage", "death", "volume", "bleed"]
    lie = {name: recipe.columns(name) for name in recipe.targets}
    assert lie == {
        "tumour": slice(0, 3),
        "stage": slice(3, 7),
        "death": slice(7, 8),
        "volume": slice(8, 9),
        "bleed": slice(9, 11),
    }
    with pytest.raises(KeyError):
        recipe.columns("nothing")
    assert [t.label_columns for t in recipe.targets.values()] == [3, 4, 2, 1, 2]
    assert recipes.parse(recipe.model_dump(mode="json", by_alias=True), "again") == recipe


@pytest.mark.parametrize(
    ("change", "fused"),
    [
        ({}, True),
        ({"clinical": {}}, True),
        ({"inputs": {"ct": CT}}, True),
        ({"inputs": {"ct": CT}, "clinical": {}}, False),
    ],
)
def test_several_inputs_are_fused_and_clinical_columns_are_one(change: dict[str, Any], fused: bool) -> None:
    assert made(**change).fused == fused


def test_one_input_of_a_recipe_alone_keeps_what_is_said_of_it() -> None:
    recipe = made(model={"encoder": "resnet18", "roles": {"mri": {"pool": "max"}, "ct": {"encoder": "simple_cnn"}}})
    one = recipe.only("mri")
    assert (list(one.inputs), one.clinical, one.fused) == (["mri"], {}, False)
    assert (one.model.of("mri").pool, one.model.of("mri").encoder) == ("max", "resnet18")
    assert one.targets == recipe.targets
    assert recipes.parse(one.model_dump(mode="json", by_alias=True), "again") == one
    with pytest.raises(RecipeError, match="has no input 'pet'; its inputs are ct, mri"):
        recipe.only("pet")


def test_a_role_s_own_keys_come_before_the_model_s() -> None:
    model = Model.model_validate(
        {
            "encoder": "resnet18",
            "pretrained": True,
            "pool": "attention",
            "normalise": {"mean": [0.4], "std": [0.3]},
            "roles": {"ct": {"pretrained": False, "pool": "max"}, "mri": {"normalise": {"mean": [0], "std": [1]}}},
        }
    )
    ct, mri, other = model.of("ct"), model.of("mri"), model.of("other")
    assert (ct.encoder, ct.pretrained, ct.pool, ct.normalise) == ("resnet18", False, "max", model.normalise)
    assert mri.normalise is not None
    assert (mri.normalise.std, mri.pretrained) == ((1.0,), True)
    assert (other.pretrained, other.pool, other.normalise) == (True, "attention", model.normalise)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"targets": {"death": PLAIN["targets"]["death"]}}, "first target is a survival; put one with classes first"),
        ({"targets": {"volume": PLAIN["targets"]["volume"]}}, "first target is a regression"),
        ({"targets": {}}, "targets"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"ct": {**CT, "unit": "image"}, "mri": MR}}, "unit: image is for one input alone"),
        ({"inputs": {"ct": {**CT, "unit": "image"}}}, "unit: image is for one input alone"),  # there is clinical
        ({"inputs": {"clinical": CT}}, "'clinical' cannot name an input"),
        ({"inputs": {"logits": CT}}, "'logits' cannot name an input"),
        ({"inputs": {"ct": CT, "ct_mask": MR}}, "'ct_mask' cannot name an input"),
        ({"inputs": {"ct": CT, "maps_ct": MR}}, "'maps_ct' cannot name an input"),
        ({"inputs": {"ct": CT, "weights_ct": MR}}, "'weights_ct' cannot name an input"),
        ({"inputs": {"ct.2": CT}}, "inputs"),
        ({"inputs": {"CT": CT}}, "inputs"),
        ({"targets": {"a b": PLAIN["targets"]["tumour"]}}, "targets"),
        ({"clinical": {"sex": {"kind": "category", "values": ["F"]}}}, "two or more different values"),
        ({"clinical": {"sex": {"kind": "category", "values": ["F", "F"]}}}, "two or more different values"),
        ({"clinical": {"age": {"values": ["1", "2"]}}}, "a number has no values"),
        ({"model": {"encoder": "x", "roles": {"pet": {"pool": "max"}}}}, "model.roles names 'pet'"),
        ({"model": {"encoder": "x", "bags": "transformer"}}, "model.bags"),
        ({"model": {"encoder": "x", "pool": "median"}}, "model.pool"),
        ({"model": {"encoder": "x", "members": 0}}, "model.members"),
        ({"train": {"loss_weights": {"grade": 1.0}}}, "train.loss_weights names 'grade'"),
        ({"train": {"loss_weights": {"stage": -1.0}}}, "train.loss_weights"),
        ({"train": {"mixup": 0.2}}, "a survival time cannot be blended"),
        ({"train": {"cutmix": 1.0}}, "a survival time cannot be blended"),
    ],
)
def test_parts_that_cannot_be_together_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        made(**change)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"kind": "survival"}, "names of the columns time and event"),
        ({"kind": "survival", "time": "t"}, "names of the columns time and event"),
        ({"kind": "survival", "time": "t", "event": "e", "classes": ["a", "b"]}, "survival has no classes"),
        ({"kind": "survival", "time": "t", "event": "e", "horizons": [0]}, "horizons"),
        ({"kind": "regression", "classes": ["a", "b"]}, "regression has no classes"),
        ({"kind": "regression", "time": "t"}, "columns of a survival target, and this one is regression"),
        ({"kind": "binary", "classes": ["a"]}, "binary takes exactly two classes, and there are 1"),
        ({"kind": "binary", "classes": ["a", "b", "c"]}, "exactly two classes, and there are 3"),
        ({"kind": "ordinal", "classes": ["a", "b"]}, "ordinal takes at least three classes; for two write binary"),
        ({"kind": "multiclass", "classes": ["a", "b"]}, "primary '' is not one of the classes"),
        ({"kind": "multiclass", "classes": ["a", "a"], "primary": "a"}, "repeat a name"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        made(targets={"first": PLAIN["targets"]["tumour"], "further": target})


def test_the_positive_class_of_two_or_of_rising_ones_is_the_last_by_default() -> None:
    recipe = made()
    assert recipe.targets["bleed"].positive == "yes"
    assert recipe.targets["stage"].positive == "IV"
    assert recipe.targets["stage"].positive_index == 3
    chosen = Target.model_validate({"kind": "ordinal", "classes": ["a", "b", "c"], "primary": "a"})
    assert chosen.positive == "a"
    assert {name: (t.exclusive, t.graded) for name, t in recipe.targets.items()} == {
        "tumour": (True, False),
        "stage": (True, False),
        "death": (False, True),
        "volume": (False, True),
        "bleed": (True, False),
    }


def test_a_category_takes_a_number_for_each_value() -> None:
    assert ClinicalColumn().width == 1
    assert ClinicalColumn(kind="category", values=("a", "b", "c")).width == 3


SAID = {
    "kind": "multilabel",
    "classes": ["any", "subdural"],
    "primary": "any",
    "words": {"any": "bleeding in the head"},
}


def test_a_label_is_said_in_the_words_of_the_recipe() -> None:
    said = Target.model_validate(SAID).say
    assert said("any") == "bleeding in the head"
    assert said("no any") == "no bleeding in the head"
    assert said("any;subdural") == "bleeding in the head; subdural"
    assert [said(one) for one in ("subdural", "", "none", "no such", "no")] == ["subdural", "", "none", "no such", "no"]
    assert said(said("no any")) == said("no any")
    plain = Target.model_validate({"kind": "binary", "classes": ["no bleed", "bleed"]})
    assert [plain.say(one) for one in ("no bleed", "bleed")] == ["no bleed", "bleed"]
    assert plain.words == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"words": {"epidural": "x"}}, "words has 'epidural', which is not one of the classes"),
        ({"words": {"any": "<b>"}}, "words says '<b>' for any"),
        ({"words": {"any": ""}}, "words says '' for any"),
        ({"words": {"any": "x" * 65}}, "64 at most"),
        ({"words": {"any": "subdural"}}, "words says the same for two"),
        ({"kind": "regression", "classes": [], "primary": ""}, "remove classes, primary and words"),
    ],
)
def test_words_that_say_nothing_of_a_class_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        made(targets={"first": {**SAID, **change}})


@pytest.mark.parametrize("name", recipes.names())
def test_the_recipes_say_their_classes_as_people_do(name: str) -> None:
    recipe = recipes.load(name)
    bare = [one for one in recipe.target.classes if recipe.target.say(one) == one]
    assert bare in ([], ["stroke"])
    assert recipes.parse(yaml.safe_load(recipes.dump(recipe)), name) == recipe


def test_words_go_with_the_classes_that_an_override_takes_away() -> None:
    four = "targets.tumour.classes=[healthy,glioma,meningioma,pituitary]"
    primary = "targets.tumour.primary=glioma"
    assert recipes.load("brain-tumour", (four, primary)).target.words == {"healthy": "no brain tumour"}
    own = "targets.tumour.words={benign: mild}"
    with pytest.raises(RecipeError, match="words has 'benign'"):
        recipes.load("brain-tumour", (four, primary, own))
    with pytest.raises(RecipeError, match=r"key 'targets\.tumour\.classes'"):
        recipes.load("brain-tumour", ("targets.tumour.classes=7",))
