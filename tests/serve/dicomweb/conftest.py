"""One service with rules for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import with_rules


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service over a tiny bundle, with people and rules."""
    folder = Path(tmp_path_factory.mktemp("service"))
    address = f"sqlite:///{folder}/insula.db"
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql")
    with with_rules(folder, address) as found:
        yield found
