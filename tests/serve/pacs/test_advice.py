"""What a look at settings and rules tells."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from tests.serve.api.made import Made

from insula.serve.pacs import advice
from insula.serve.pacs.rules import Rule, Rules
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema

pytestmark = pytest.mark.serve
ROOM = 1 << 40


def settings(**more: object) -> PacsSettings:
    return read_pacs_settings(**{"allow": "CT1", "peers": "web=https://h my-web=https://i", **more})


def test_settings_that_are_as_they_should_be() -> None:
    names = ["INSULA_PACS_PORT", "INSULA_PACS_LOGIN_MY_WEB", "insula_pacs_rules", "INSULA_DATABASE", "PATH"]
    assert advice.of_settings(settings(), names, ROOM) == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("INSULA_PACS_ALOW", "is no setting, and nothing reads it ('INSULA_PACS_ALLOW' may be meant)."),
        ("INSULA_PACS_XYZZY", "is no setting, and nothing reads it."),
        ("INSULA_PACS_LOGIN_WBE", "INSULA_PACS_PEERS does not have ('INSULA_PACS_LOGIN_WEB' may be meant)."),
    ],
)
def test_a_variable_that_nothing_reads(name: str, said: str) -> None:
    (told,) = advice.of_settings(settings(), [name], ROOM)
    assert told.startswith(name)
    assert told.endswith(said)


def test_nobody_may_call() -> None:
    (told,) = advice.of_settings(settings(allow=""), [], ROOM)
    assert told.startswith("INSULA_PACS_ALLOW is empty")


def test_an_address_that_nobody_can_call_from() -> None:
    found = settings(allow="CT1@10.0.0.0/8,CT2@10.0.0.7,CT3@nobody.invalid,CT4@fe80::1%eth0,CT5@localhost")
    told = advice.of_settings(found, [], ROOM)
    assert [one.split("'")[1] for one in told] == ["CT1", "CT3"]


def test_a_disk_that_is_smaller_than_what_has_to_be_free() -> None:
    (told,) = advice.of_settings(settings(least_free_mb=2048), [], 5 << 20)
    assert "2048 MB, and 5 MB of the disk are free" in told


def test_rules_without_a_key_and_no_rules() -> None:
    hidden = Rules(rules=(Rule(name="a", project="P", pseudonymise=True),))
    (told,) = advice.of_rules(hidden, settings())
    assert "INSULA_PACS_IDENTITY_KEY is not set" in told
    assert advice.of_rules(hidden, settings(identity_key="k" * 40)) == ()
    assert len(advice.notes(hidden)) == 1
    (told,) = advice.of_rules(Rules(), settings(keep_unrouted_days=3))
    assert "3 days" in told
    assert advice.notes(Rules()) == ()


def test_what_rules_name_is_looked_up(made: Made) -> None:
    def found(**one: str) -> tuple[str, ...]:
        with made.service.records.begin() as connection:
            return advice.of_records(Rules(rules=(Rule(name="a", **one),)), connection)

    assert found(project="Inside", model="tiny-ct") == ()
    assert found(project=" Inside ") == ()
    (told,) = found(project="Insde", model="tiny-ct")
    assert "'Insde', which is not made yet ('Inside' may be meant)." in told
    (told,) = found(project="Inside", model="tiny-tc")
    assert "'tiny-tc', of which none is registered ('tiny-ct' may be meant)." in told


def test_a_model_that_is_not_active(made: Made) -> None:
    with made.service.records.connect() as connection, connection.begin() as turn:
        connection.execute(update(schema.models).where(schema.models.c.name == "tiny-ct").values(state="retired"))
        (told,) = advice.of_records(Rules(rules=(Rule(name="a", project="Inside", model="tiny-ct"),)), connection)
        turn.rollback()
    assert "'tiny-ct', of which none is active." in told
