"""What is too old goes, what is not stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select, update
from tests.serve.store.made_records import came, files_at, predicted, project, put, study, user

from insula.serve.faults import RequestError
from insula.serve.store import predictions, retention, reviews, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.files import Files, Stored
from insula.serve.store.retention import Gone, Rules

pytestmark = pytest.mark.serve
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def lay(connection: Connection, files: Files, project_id: str, key: str, days: float) -> dict[str, Stored | str]:
    """A patient's study of some days ago: a file, a prediction and what was made of it."""
    one = study(connection, project_id, key)
    scan, heat = put(files, f"scan {key}".encode()), put(files, f"map {key}".encode())
    studies.add_files(connection, files, one, "ct", [("a", scan)])
    of = predicted(connection, one)
    predictions.add_artefact(connection, files, of, "map", "ct", heat, "image/png")
    made = NOW - timedelta(days=days)
    for table, names in ((schema.files, one), (schema.predictions, one)):
        connection.execute(update(table).where(table.c.study_id == names).values(created_at=made))
    artefacts = schema.artefacts
    connection.execute(update(artefacts).where(artefacts.c.prediction_id == of).values(created_at=made))
    return {"study": one, "scan": scan, "map": heat, "prediction": of}


def has(files: Files, stored: Stored | str) -> bool:
    assert isinstance(stored, Stored)
    return files.has(stored.sha256)


def count(connection: Connection, name: str) -> int:
    return int(connection.execute(select(func.count()).select_from(schema.metadata.tables[name])).scalar_one())


def test_a_dry_run_tells_what_goes_and_then_it_goes(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a, other = project(connection, "A"), project(connection, "B")
        old, new, kept = (
            lay(connection, files, one, key, days) for one, key, days in ((a, "O", 40), (a, "N", 20), (other, "K", 99))
        )
        retention.set_rules(connection, a, Rules(files_days=30))
        assert retention.rules_of(connection, a) == Rules(30, None)
        assert retention.rules_of_all(connection, [a, other]) == {a: Rules(30, None), other: Rules()}
        assert retention.due(connection, a, NOW) == Gone(files=1, artefacts=1)
        assert has(files, old["scan"])
        assert retention.apply(connection, files, a, NOW) == Gone(files=1, artefacts=1, stored=2)
        assert not has(files, old["scan"])
        assert not has(files, old["map"])
        assert retention.due(connection, a, NOW) == retention.apply(connection, files, a, NOW) == Gone()
        assert all(has(files, one[kind]) for one in (new, kept) for kind in ("scan", "map"))
        assert (count(connection, "predictions"), count(connection, "studies"), count(connection, "patients")) == (
            3,
            3,
            3,
        )


def test_of_predictions_that_go_nothing_is_left_and_empty_studies_and_patients_go_too(
    records: Engine, tmp_path: Path
) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        old = lay(connection, files, a, "O", 40)
        lay(connection, files, a, "N", 20)
        reviews.write(
            connection,
            str(old["study"]),
            user(connection),
            reviews.Said("answer", "agree", "A"),
            str(old["prediction"]),
        )
        retention.set_rules(connection, a, Rules(30, 30))
        assert retention.due(connection, a, NOW) == Gone(files=1, artefacts=1, predictions=1)
        gone = retention.apply(connection, files, a, NOW)
        assert gone == Gone(files=1, artefacts=1, predictions=1, studies=1, patients=1, stored=2)
        for name in ("files", "artefacts", "predictions", "studies", "patients"):
            assert count(connection, name) == 1
        assert count(connection, "reviews") == 0


def test_predictions_alone_take_their_maps_along_and_leave_the_scan(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        old = lay(connection, files, a, "O", 40)
        retention.set_rules(connection, a, Rules(predictions_days=30))
        assert retention.apply(connection, files, a, NOW) == Gone(predictions=1, stored=1)
        assert has(files, old["scan"])
        assert not has(files, old["map"])
        assert count(connection, "studies") == 1


def test_a_stored_file_that_another_study_has_too_stays(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        old = lay(connection, files, a, "O", 40)
        again = study(connection, a, "again")
        studies.add_files(connection, files, again, "ct", [("b", put(files, b"scan O"))])
        retention.set_rules(connection, a, Rules(files_days=30))
        assert retention.apply(connection, files, a, NOW + timedelta(days=-1)) == Gone(files=1, artefacts=1, stored=1)
        assert has(files, old["scan"])


def test_it_goes_in_steps_that_are_repeated(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        for i in range(5):
            lay(connection, files, a, f"P{i}", 40)
        retention.set_rules(connection, a, Rules(30, 30))
        steps = [retention.apply(connection, files, a, NOW, most=2) for _ in range(4)]
        assert [step.files for step in steps] == [2, 2, 1, 0]
        assert steps[-1] == Gone()
        assert count(connection, "patients") == 0
        assert list(files.all()) == []


def test_without_rules_everything_stays(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        lay(connection, files, a, "O", 4000)
        assert retention.rules_of(connection, a) == Rules()
        assert retention.apply(connection, files, a, NOW) == Gone()
        for rules in (Rules(0), Rules(None, -1), Rules(36_526)):
            with pytest.raises(RequestError, match="days were given"):
                retention.set_rules(connection, a, rules)
        with pytest.raises(RequestError, match="no such project"):
            retention.set_rules(connection, "none", Rules(3))


def test_what_came_over_the_network_and_was_made_for_it_goes_with_the_files(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        old = lay(connection, files, a, "O", 40)
        scan, of = old["scan"], old["prediction"]
        assert isinstance(scan, Stored)
        came(connection, files, str(old["study"]), str(of), "O", scan)
        connection.execute(update(schema.pacs_objects).values(created_at=NOW - timedelta(days=40)))
        retention.set_rules(connection, a, Rules(files_days=30))
        assert retention.due(connection, a, NOW) == Gone(files=1, artefacts=2)
        assert retention.apply(connection, files, a, NOW) == Gone(files=1, artefacts=2, stored=3)
        assert not has(files, scan)
        assert count(connection, "pacs_objects") == 0
        assert count(connection, "pacs_instances") == 1, "what was no file of the study is not the project's to delete"
        assert count(connection, "predictions") == 1


def test_what_was_made_of_a_prediction_goes_with_it(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    with writing(records) as connection:
        a = project(connection)
        old = lay(connection, files, a, "O", 40)
        assert isinstance(old["scan"], Stored)
        came(connection, files, str(old["study"]), str(old["prediction"]), "O", old["scan"])
        (report,) = connection.scalars(select(schema.pacs_objects.c.sha256))
        retention.set_rules(connection, a, Rules(predictions_days=30))
        retention.apply(connection, files, a, NOW)
        assert count(connection, "pacs_objects") == count(connection, "pacs_deliveries") == 0
        assert not files.has(report)
        assert has(files, old["scan"])
