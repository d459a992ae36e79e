"""YAML that stands for more than it says is refused before it is built."""

from __future__ import annotations

import pytest

from insula.core import recipe, yaml_text
from insula.core.yaml_text import YamlTextError


def growing(inner: str, outer: str) -> str:
    return "\n".join([inner, *(outer.format(i=i, j=", ".join([f"*a{i - 1}"] * 10)) for i in range(1, 10))])


@pytest.mark.parametrize(
    "text",
    [
        growing("a0: &a0 [x, x]", "a{i}: &a{i} [{j}]"),
        growing("a0: &a0 {k: 1}", "a{i}: &a{i} {{<<: [{j}], z{i}: 1}}"),
        growing("a0: &a0 {k: 1}", "a{i}: &a{i} {{k{i}: [{j}]}}"),
    ],
)
def test_aliases_of_aliases_are_counted(text: str) -> None:
    with pytest.raises(YamlTextError, match="more than 100000 values"):
        yaml_text.read(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5000, "- " * 5000, "? " * 5000])
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(YamlTextError, match="too deep"):
        yaml_text.read(text)


def test_ordinary_anchors_and_merges_stay() -> None:
    assert yaml_text.read("a: &x {k: 1}\nb: {<<: *x, l: 2}\nc: [*x, *x]") == {
        "a": {"k": 1},
        "b": {"k": 1, "l": 2},
        "c": [{"k": 1}, {"k": 1}],
    }
    assert all(recipe.load(name) for name in recipe.names())


@pytest.mark.parametrize("number", [":".join(["1"] + ["10"] * 300_000), f'!!int "{"1: " * 300_000}1"', "1" * 5000])
def test_numbers_without_end_are_refused_before_they_are_worked_out(number: str) -> None:
    with pytest.raises(YamlTextError, match="a number of"):
        yaml_text.read(f"a: {number}")
    assert yaml_text.read("a: 1:10:10")["a"] == 4210
