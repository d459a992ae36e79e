"""Migrations: up, down and up again on old records, by several at once, and to exactly the tables of the code."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError
from tests.serve.store import made_old

from insula.serve.store import migrate, schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.errors import RecordsError

pytestmark = pytest.mark.serve
NEWEST = "0004"


@pytest.fixture
def old(records_address: str) -> Iterator[Engine]:
    """Records of the first migration, with rows in every table."""
    engine = connect(records_address)
    made_old.make(engine)
    yield engine
    made_old.empty(engine)
    engine.dispose()


@pytest.fixture
def none(records_address: str) -> Iterator[Engine]:
    """A database without tables."""
    engine = connect(records_address)
    made_old.empty(engine)
    yield engine
    made_old.empty(engine)
    engine.dispose()


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        return found


def test_migrated_tables_are_those_of_the_code(none: Engine) -> None:
    assert migrate.check(none) == migrate.State("", NEWEST)
    assert migrate.upgrade(none).found == ""
    assert differences(none) == []
    assert migrate.check(none).current
    migrate.downgrade(none, "0001")
    assert len(differences(none)) > 5  # the comparison sees what is missing
    migrate.downgrade(none, "base")
    assert set(inspect(none).get_table_names()) == {"alembic_version"}


def test_the_tables_of_the_code_have_the_constraints_of_the_migrated_ones(none: Engine) -> None:
    def constraints() -> dict[str, object]:
        there = inspect(none)
        return {
            table: (
                there.get_pk_constraint(table)["constrained_columns"],
                sorted(
                    (tuple(k["constrained_columns"]), k["options"].get("ondelete"))
                    for k in there.get_foreign_keys(table)
                ),
                sorted(tuple(one["column_names"]) for one in there.get_unique_constraints(table)),
                sorted(
                    (str(one["name"]), tuple(one["column_names"]), one["unique"]) for one in there.get_indexes(table)
                ),
                sorted((column["name"], column["nullable"]) for column in there.get_columns(table)),
            )
            for table in schema.metadata.tables
        }

    migrate.upgrade(none)
    migrated = constraints()
    made_old.empty(none)
    schema.metadata.create_all(none)
    assert migrated == constraints()


def test_old_rows_are_the_same_after_up_and_down_and_up(old: Engine) -> None:
    before = made_old.content(old)
    assert all(before.values())
    assert migrate.upgrade(old) == migrate.State("0001", NEWEST)
    once = made_old.content(old)
    closed = {"l0": True, "l1": True, "l2": False}  # of two open alerts of a kind one stays open
    assert {row["id"]: row["closed_at"] is not None for row in once["alerts"]} == closed
    assert {**once, "alerts": before["alerts"]} == before
    with reading(old) as connection:
        reviews, predictions = schema.reviews.c, schema.predictions.c
        of = {row.id: row.seq for row in connection.execute(select(predictions.id, predictions.seq))}
        rows = connection.execute(select(reviews.prediction_id, reviews.prediction_seq))
        placed = {row.prediction_id: row.prediction_seq for row in rows}
        assert placed == {**of, None: None}
    migrate.downgrade(old, "0001")
    assert made_old.content(old) == once
    migrate.upgrade(old)
    assert made_old.content(old) == once
    assert differences(old) == []


def test_upgraded_old_records_work(old: Engine) -> None:
    migrate.upgrade(old)
    with writing(old) as connection:
        study = connection.execute(select(schema.studies)).one()
        assert (study.attributes, study.version) == ({"age": 61}, 3)
        connection.execute(insert(schema.studies).values(project_id="p1", patient_id="a1"))
        assert connection.execute(select(func.max(schema.studies.c.seq))).scalar_one() == study.seq + 1
    with pytest.raises(IntegrityError), writing(old) as connection:
        connection.execute(insert(schema.studies).values(project_id="none", patient_id="a1"))


def test_programs_that_start_at_once_migrate_once(old: Engine, records_address: str) -> None:
    before, start = made_old.content(old), threading.Barrier(6)
    found: list[str] = []

    def program() -> None:
        engine = connect(records_address)
        start.wait()
        found.append(migrate.upgrade(engine).found)
        engine.dispose()

    threads = [threading.Thread(target=program) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["0001"] + 5 * [NEWEST]
    assert {**made_old.content(old), "alerts": before["alerts"]} == before


def test_records_of_a_newer_program_are_refused(none: Engine) -> None:
    migrate.upgrade(none)
    with writing(none) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (migrate.upgrade, migrate.check):
        with pytest.raises(RecordsError, match="migration 9999 and this program knows up to 0004"):
            call(none)
    with pytest.raises(RecordsError, match="9999"):
        migrate.downgrade(none, "0001")


def test_tables_that_no_migration_made_are_refused(none: Engine) -> None:
    schema.projects.create(none)
    with pytest.raises(RecordsError, match="table 'projects'"):
        migrate.upgrade(none)


def test_a_migration_that_fails_leaves_everything_as_it_was(old: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    before = made_old.content(old)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(op, "create_index", broken)
        with pytest.raises(RuntimeError, match="disk full"):
            migrate.upgrade(old)
    assert migrate.check(old) == migrate.State("0001", NEWEST)
    assert "token_uses" not in inspect(old).get_table_names()
    assert made_old.content(old) == before
    assert "keep_files_days" not in {column["name"] for column in inspect(old).get_columns("projects")}


def test_rows_that_point_at_a_table_that_is_replaced_stay(tmp_path: object) -> None:
    engine = connect(f"sqlite:///{tmp_path}/insula.db")
    made_old.make(engine)
    migrate.upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()
    plain = create_engine(f"sqlite:///{tmp_path}/insula.db")
    with plain.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    plain.dispose()
