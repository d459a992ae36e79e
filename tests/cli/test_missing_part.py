"""In an install without a part each verb that wants it says so before any work, with the command that adds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from insula.cli import info, main
from insula.core import parts
from insula.core.errors import CohortError, MissingPartError

VERBS = {
    "evaluate b c --out {0}": "Evaluating",
    "audit b c --out {0}": "Auditing",
    "compare a b --out {0}": "Comparing models",
    "pareto a b --cohort c --out {0}": "Comparing bundles",
    "maps b c --out {0}": "Judging heat maps",
    "features s --out {0}": "Making maps of features",
}
TABLES = (
    "index {0} --recipe stroke-ct --out {0}/cohort.parquet",
    "split {0}/c.csv --recipe stroke-ct --out {0}/split.parquet",
    "join {0}/a.csv {0}/b.csv --out {0}/both.parquet",
)


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `pip install insula` had been all."""
    there = parts._there
    gone = parts.PARTS["evaluate"].modules
    monkeypatch.setattr(parts, "_there", lambda name: name not in gone and there(name))


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("words", "what"), VERBS.items())
def test_a_verb_names_what_it_lacks(words: str, what: str, tmp_path: Path) -> None:
    error = CliRunner().invoke(main.main, words.format(tmp_path / "out").split()).exception
    assert isinstance(error, MissingPartError)
    assert str(error).startswith(f"{what} needs pandas, pyarrow, sklearn, which are not installed")
    assert str(error).endswith("run: pip install 'insula[evaluate]'.")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("words", TABLES)
def test_a_table_that_cannot_be_written_is_refused_before_anything_is_read(words: str, tmp_path: Path) -> None:
    error = CliRunner().invoke(main.main, words.format(tmp_path).split()).exception
    assert isinstance(error, MissingPartError)
    assert ".csv')" in str(error)
    other = CliRunner().invoke(main.main, words.format(tmp_path).replace(".parquet", ".xlsx").split()).exception
    assert isinstance(other, CohortError)
    assert "neither .parquet nor .csv" in str(other)


def test_a_part_that_no_verb_asks_for_is_named_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> int:
        def run(**_: object) -> None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

        monkeypatch.setattr(info.info, "callback", run)
        monkeypatch.setattr("sys.argv", ["insula", "info", "--json"])
        with pytest.raises(SystemExit) as end:
            main.run()
        return int(end.value.code or 0)

    assert broken("pandas.core") == MissingPartError.exit_code
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "missing_part"
    assert "This needs pandas.core, which is not installed; run: pip install 'insula[evaluate]'." in err
    with pytest.raises(ModuleNotFoundError):  # a fault of the program is not hidden
        broken("insula.no_such")
