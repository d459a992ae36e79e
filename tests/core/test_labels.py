"""Labels and clinical columns as numbers: what is said, what is missing, and what is refused."""

from __future__ import annotations

import math

import pytest

from insula.core import labels
from insula.core.errors import CohortError
from insula.core.recipe import ClinicalColumn, Target
from insula.core.types import Case


def case(labelled: dict[str, tuple[str, ...]] | None = None, **attributes: str) -> Case:
    return Case("k", "p", {}, labelled or {}, attributes)


def target(kind: str, **more: object) -> Target:
    return Target.model_validate({"kind": kind, **more})


BINARY = target("binary", classes=["no", "yes"])
GRADE = target("ordinal", classes=["I", "II", "III"], column="who grade")
SIGNS = target("multilabel", classes=["any", "shift", "bleed"], primary="any")
DEATH = target("survival", time="days", event="dead")
VOLUME = target("regression")


@pytest.mark.parametrize(
    ("name", "what", "of", "wanted"),
    [
        ("x", BINARY, case({"x": ("yes",)}), (0.0, 1.0)),
        ("x", BINARY, case(x=" no "), (1.0, 0.0)),
        ("x", BINARY, case(), None),
        ("x", BINARY, case(x="  "), None),
        ("x", BINARY, case({"x": ("yes",)}, x="no"), (0.0, 1.0)),  # the cohort's own labels come first
        ("grade", GRADE, case({}, **{"who grade": "II"}), (0.0, 1.0, 0.0)),
        ("grade", GRADE, case(grade="II"), None),  # the recipe names another column
        ("signs", SIGNS, case({"signs": ()}), (0.0, 0.0, 0.0)),  # looked at, and nothing found
        ("signs", SIGNS, case(signs="any; bleed"), (1.0, 0.0, 1.0)),
        ("signs", SIGNS, case(signs="any;;bleed;"), (1.0, 0.0, 1.0)),
        ("signs", SIGNS, case(signs="None"), (0.0, 0.0, 0.0)),
        ("signs", SIGNS, case(), None),
        ("death", DEATH, case(days="12.5", dead="1"), (12.5, 1.0)),
        ("death", DEATH, case(days="40", dead="Censored"), (40.0, 0.0)),
        ("death", DEATH, case(days="40", dead="TRUE"), (40.0, 1.0)),
        ("death", DEATH, case(days="40", dead="0.0"), (40.0, 0.0)),
        ("death", DEATH, case(days="40"), None),
        ("death", DEATH, case(days=" ", dead="1"), None),
        ("volume", VOLUME, case(volume="-3e2"), (-300.0,)),
        ("volume", VOLUME, case(), None),
        ("volume", target("regression", column="ml"), case(volume="1", ml="2"), (2.0,)),
    ],
)
def test_a_label_as_the_numbers_that_a_network_learns(
    name: str, what: Target, of: Case, wanted: tuple[float, ...] | None
) -> None:
    found = labels.columns(of, name, what)
    assert found == wanted
    assert found is None or len(found) == what.label_columns


@pytest.mark.parametrize(
    ("name", "what", "of", "said"),
    [
        ("x", BINARY, case(x="maybe"), r"labelled 'maybe' for 'x', which is none of \['no', 'yes'\]"),
        ("x", BINARY, case({"x": ("no", "yes")}), "2 labels for 'x', whose classes exclude each other"),
        ("x", BINARY, case({"x": ()}), "0 labels for 'x'"),
        ("x", BINARY, case(x="no;yes"), "labelled 'no;yes'"),
        ("signs", SIGNS, case(signs="any;stroke"), "labelled 'stroke'"),
        ("signs", SIGNS, case({"signs": ("Any",)}), "labelled 'Any'"),
        ("death", DEATH, case(days="soon", dead="1"), "'days' holds 'soon', which is no number"),
        ("death", DEATH, case(days="0", dead="1"), "'days' holds the time 0, and a time is above 0"),
        ("death", DEATH, case(days="-4", dead="1"), "holds the time -4"),
        ("death", DEATH, case(days="nan", dead="1"), "'nan', which is no number"),
        ("death", DEATH, case(days="inf", dead="1"), "'inf', which is no number"),
        ("death", DEATH, case(days="4", dead="2"), "'dead' holds '2', which is neither 1"),
        ("volume", VOLUME, case(volume="12 ml"), "'volume' holds '12 ml'"),
        ("volume", target("regression", column="ml"), case(ml="x" * 99), f"'ml' holds '{'x' * 40}',"),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_the_way_out(name: str, what: Target, of: Case, said: str) -> None:
    with pytest.raises(CohortError, match=said) as caught:
        labels.columns(of, name, what)
    assert "p" not in str(caught.value).split()  # neither the patient nor the case is named


def test_classes_of_a_case() -> None:
    assert labels.classes(case(signs="shift;any"), "signs", SIGNS) == ("shift", "any")
    assert labels.classes(case(), "signs", SIGNS) is None
    assert labels.classes(case(signs="none"), "signs", SIGNS) == ()


SECTION = {
    "age": ClinicalColumn(),
    "sex": ClinicalColumn(kind="category", values=("F", "M")),
    "nihss": ClinicalColumn(),
}


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"age": "61", "sex": "M", "nihss": "4.5"}, (61.0, 0.0, 1.0, 4.5)),
        ({"age": "063Y", "sex": "F"}, (63.0, 1.0, 0.0, math.nan)),
        ({"age": "018M"}, (1.5, math.nan, math.nan, math.nan)),
        ({"age": "026W", "nihss": "-0"}, (26 * 7 / 365.25, math.nan, math.nan, 0.0)),
        ({"age": "365D"}, (365 / 365.25, math.nan, math.nan, math.nan)),
        ({"age": "unknown", "sex": "O", "nihss": "inf"}, (math.nan,) * 4),
        ({"age": " 7 ", "sex": " F ", "nihss": "nan"}, (7.0, 1.0, 0.0, math.nan)),
        ({}, (math.nan,) * 4),
    ],
)
def test_clinical_columns_in_the_recipe_s_order_with_gaps(
    attributes: dict[str, str], wanted: tuple[float, ...]
) -> None:
    assert labels.clinical(attributes, SECTION) == pytest.approx(wanted, nan_ok=True)


def test_no_clinical_columns_are_no_numbers() -> None:
    assert labels.clinical({"age": "61"}, {}) == ()
