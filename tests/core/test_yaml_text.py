"""Whatever is wrong with a text by hand, it is one kind of error, wherever such texts are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from insula.core import recipe, yaml_text
from insula.core.errors import RecipeError, UsageError
from insula.core.yaml_text import YamlTextError
from insula.serve.pacs.rules import read_rules
from insula.serve.training import read as training
from insula.workflows import search_space

# what PyYAML answers with ValueError, RecursionError, IndexError, AttributeError, and two of its own
WRONG = [
    "a: 2001-99-99",
    "a: " + "[" * 5000,
    "a: !!int ''",
    "a: !!timestamp x",
    "a: !!float x",
    "a: " + "9" * 5000,
    "a: [",
    "a: !!python/object:os.system x",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_text_that_is_no_yaml_is_one_error_of_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(YamlTextError) as found:
        yaml_text.read(text)
    assert "\n" not in str(found.value)
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match="is not valid YAML"):
        recipe.load(path)
    with pytest.raises(RecipeError, match="not valid YAML"):
        recipe.load("haemorrhage-ct", (f"train.epochs={text.removeprefix('a: ')}",))
    with pytest.raises(UsageError, match="are no YAML"):
        read_rules(path)
    with pytest.raises(RecipeError, match="is not valid YAML"):
        search_space.load(path)
    assert training._recipe(path, (0, len(text))) is None


def test_plain_values_are_read() -> None:
    assert yaml_text.read("a: [1, 2.5, x, null]") == {"a": [1, 2.5, "x", None]}
