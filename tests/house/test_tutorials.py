"""The tutorials: their questions are recipes, and every answer shown belongs to a command; the slow one runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.capacity.loaded import script

from insula.core import recipe as recipes
from insula.prep.check import checked

tutorials = script("tutorials")
NAMES = sorted(path.stem for path in tutorials.FOLDER.glob("*.md"))


def page(name: str) -> str:
    return str((tutorials.FOLDER / f"{name}.md").read_text(encoding="utf-8"))


def test_there_is_one_for_each_question_with_a_demo() -> None:
    assert set(NAMES) == {"haemorrhage-ct", "stroke-ct", "brain-tumour", "clot-origin"}


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_stands_behind_its_command_and_is_not_empty(name: str) -> None:
    before = ""
    for block in tutorials.blocks(page(name)):
        if block.language == "text":
            assert before == "sh", block.text
            assert block.text.strip(), f"run: python scripts/tutorials.py {name}"
        before = block.language


@pytest.mark.parametrize("name", NAMES)
def test_its_question_is_a_recipe_and_its_picture_is_there(name: str, tmp_path: Path) -> None:
    written = [block.text for block in tutorials.blocks(page(name)) if block.language == "yaml"]
    assert len(written) == 1
    (tmp_path / "small.yaml").write_text(written[0], encoding="utf-8")
    assert checked(recipes.load(tmp_path / "small.yaml")).model.encoder == "simple_cnn"
    if name in tutorials.PICTURES:
        assert (tutorials.FOLDER / tutorials.PICTURES[name][0]).is_file()


def test_commands_are_read_with_their_exit_codes() -> None:
    block = "insula a \\\n  --b\n# why\ninsula c    # ends with 31\n"
    assert list(tutorials.commands(block)) == [("insula a    --b", 0), ("insula c", 31)]


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_it_stands(name: str, tmp_path: Path) -> None:
    assert tutorials.run(name, tmp_path / name).startswith("# ")
