"""A local issuer for the tests of people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.serve.people.issuer import LocalIssuer, local_issuer


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as found:
        yield found
