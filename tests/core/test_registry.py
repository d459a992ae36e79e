import pytest

from insula.core import errors
from insula.core.errors import InsulaError, UsageError
from insula.core.registry import Registry


def test_an_entry_is_imported_when_asked_for_and_an_unknown_one_lists_the_known() -> None:
    table = Registry("thing", {"join": "posixpath:join", "gone": "no.such.module:f"})
    assert table.get("join")("a", "b") == "a/b"
    assert "gone" in table
    assert list(table) == ["gone", "join"]
    with pytest.raises(UsageError, match="known are: gone, join"):
        table.get("jion")


def test_each_error_has_its_own_exit_code() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, InsulaError)]
    assert len(kinds) > 10
    assert len({k.exit_code for k in kinds}) == len(kinds)
    assert len({k.code for k in kinds}) == len(kinds)
