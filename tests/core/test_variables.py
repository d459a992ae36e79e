from __future__ import annotations

import re

from pydantic_settings import BaseSettings
from tests.house.walk import ROOT

from insula.core import variables
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.pacs.settings import PacsSettings
from insula.serve.people.settings import PeopleSettings
from insula.serve.settings import Settings

CLASSES: dict[str, type[BaseSettings]] = {
    "service": Settings,
    "log-in": PeopleSettings,
    "monitoring": MonitorSettings,
    "node": PacsSettings,
}


def test_the_fields_of_the_settings_are_the_variables_of_their_part() -> None:
    for part, kind in CLASSES.items():
        start = str(kind.model_config["env_prefix"]).removeprefix(variables.START)
        assert variables.READ_BY[part] == tuple(f"{start}{name.upper()}" for name in kind.model_fields), part


def test_every_variable_that_the_source_names_is_known() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "insula").rglob("*.py"))
    named = set(re.findall(r"INSULA_[A-Z][A-Z_]*[A-Z]", source))
    assert len(named) > 25
    named -= {"INSULA_COMPLETE"}  # of `_INSULA_COMPLETE`, by which a shell asks for completions
    parts = {name for name in named if any(one.startswith(f"{name}_") for one in (*variables.known(), *variables.OPEN))}
    assert named - set(variables.known()) - parts == set()


def test_a_variable_that_nothing_reads_is_told_with_what_may_be_meant() -> None:
    given = ["INSULA_PORT", "INSULA_PROT", "INSULA_WHATEVER_IT_IS", "INSULA_PACS_LOGIN_ARCHIVE", "insula_port", "HOME"]
    assert variables.strangers(given) == {"INSULA_PROT": "INSULA_PORT", "INSULA_WHATEVER_IT_IS": ""}
