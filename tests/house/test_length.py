from __future__ import annotations

from tests.house.walk import texts

LONGEST = 400


def test_no_file_is_too_long_to_read() -> None:
    found = texts().items()
    code = {name: text for name, text in found if name.startswith(("src/", "tests/")) and not name.endswith(".json")}
    lengths = {name: len(text.splitlines()) for name, text in code.items()}
    assert len(lengths) > 100
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
