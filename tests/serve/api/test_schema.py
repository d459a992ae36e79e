"""The description of the API holds: whatever it allows to be sent, by whomever, is answered as it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from tests.serve.api.made import Made, clear, service
from tests.tiny_bundle import make

pytestmark = pytest.mark.serve
NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SPARED = {("delete", "/api/v1/session"), ("put", "/api/v1/session/password")}  # after which nobody is logged in
ROLES = ("admin", "reviewer", "auditor")
EXAMPLES = 8


@pytest.fixture
def one(tmp_path: Path, records_address: str) -> Iterator[Made]:
    """A service with a prediction in it; each test ends its own, since the requests end the application after them."""
    folder = tmp_path
    clear(records_address)
    with service(make(folder, unit="series"), records_address, folder) as made:
        made.predicted(patient="P")
        yield made


@pytest.mark.parametrize("role", ROLES)
def test_no_server_error_and_no_answer_that_the_description_does_not_know(one: Made, role: str) -> None:
    client = one.client(role)
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Cookie": cookies, "X-CSRF-Token": client.headers["X-CSRF-Token"], "Host": "127.0.0.1"}
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in NAMES]
    wrong: list[str] = []
    count, statuses = 0, Counter[int]()
    schema = schemathesis.openapi.from_asgi("/openapi.json", one.app, headers={"Host": "127.0.0.1"})
    schema.config.generation.update(with_security_parameters=False)  # who asks is said by the session
    found: Any = schema.get_all_operations()
    for result in found:
        operation: Any = result.ok()
        if (operation.method, operation.path) in SPARED:
            continue
        count += 1
        wrong += tried(operation, headers, checks, statuses)
    assert count > 50
    assert statuses[200] + statuses[201] + statuses[202] > 20, statuses
    assert not wrong, "\n\n".join(dict.fromkeys(wrong))


def tried(operation: Any, headers: dict[str, str], checks: list[Any], statuses: Counter[int]) -> list[str]:
    """What is wrong with the answers to a few cases of an operation."""
    wrong: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case: Any) -> None:
        response = case.call(headers=headers)
        statuses[response.status_code] += 1
        if response.status_code == 401 and not operation.path.startswith("/api/v1/session"):
            wrong.append(f"{operation.method} {operation.path}: nobody is logged in")
        try:
            case.validate_response(response, checks=checks)
        except AssertionError as error:
            wrong.append(f"{operation.method} {operation.path} {response.status_code}: {str(error)[:500]}")
        except BaseExceptionGroup as error:
            several = [str(one)[:500] for one in error.exceptions]
            wrong.append(f"{operation.method} {operation.path} {response.status_code}: {several}")

    each()
    return wrong
