"""Work items that name a patient, by number and issuer."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, insert
from tests.serve.store.made_records import project

from insula.serve.store import came, schema
from insula.serve.store.connect import writing
from insula.serve.store.patients import key_of

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("patient", "issuer", "found"),
    [
        ("4711", "A", ["4711 A", "4711 "]),  # without an issuer it may be of any that has the number
        ("4711", "B", ["4711 "]),
        ("4711", "", ["4711 "]),
        ("47", "A", []),
        ("", "", []),
    ],
)
def test_a_number_counts_with_its_issuer(records: Engine, patient: str, issuer: str, found: list[str]) -> None:
    with writing(records) as connection:
        a = project(connection)
        for number, who in enumerate(("A", "")):
            said = {
                "00100020": {"vr": "LO", "Value": ["4711"]},
                "00100021": {"vr": "LO", "Value": [who] if who else []},
            }
            connection.execute(insert(schema.workitems).values(uid=f"1.2.{number}", project_id=a, attributes=said))
        connection.execute(insert(schema.workitems).values(uid="1.2.9", project_id=a, attributes={"00100020": None}))
        rows = came.workitems(connection, a, key_of(patient, issuer), [])
    assert [f"4711 {(row['attributes']['00100021']['Value'] or [''])[0]}" for row in rows] == found
