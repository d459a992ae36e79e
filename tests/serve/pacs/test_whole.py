"""A study is whole when it is quiet or counted, once, and again when more of it comes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import update
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import QUIET, node, slices

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.pacs import whole
from insula.serve.store import schema
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
COUNTED = """
rules:
  - {name: thin, when: {series_description: thin}, project: Inside, model: tiny-ct, instances: 2}
  - {name: rest, project: Inside}
"""


def test_a_quiet_study_is_whole_once(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        name = quiet.receive(slices())
        quiet.later = QUIET / 2
        quiet.look()
        assert quiet.row(name).state == "receiving"
        quiet.quiet()
        quiet.quiet()
        found = quiet.row(name)
        assert (found.state, found.generation) == ("whole", 1)
        (job,) = quiet.rows(schema.jobs, unique_key=f"pacs-take-{name}-1")
        assert job.payload == {"pacs_study": name, "generation": 1}


def test_the_quiet_time_begins_anew_when_the_node_starts(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        name = quiet.receive(slices())
        quiet.later = timedelta(hours=1)
        quiet.look(started=quiet.clock() - QUIET / 2)
        assert quiet.row(name).state == "receiving", "its sender may try again now that the node is back"
        quiet.look(started=quiet.clock() - QUIET)
        assert quiet.row(name).state == "whole"


def test_a_counted_series_does_not_wait(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, COUNTED) as quiet:
        study, series = generate_uid(), generate_uid()
        thin = slices(study, series, (1, 2), SeriesDescription="Thin")
        name = quiet.receive(thin[:1])
        quiet.look()
        assert quiet.row(name).state == "receiving"
        quiet.receive(thin[1:])
        quiet.look()
        assert quiet.row(name).state == "whole"


def test_other_series_of_the_study_are_waited_for(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, COUNTED) as quiet:
        study = generate_uid()
        quiet.receive(slices(study, SeriesDescription="thin"))
        name = quiet.receive(slices(study, SeriesDescription="other"))
        quiet.look()
        assert quiet.row(name).state == "receiving"
        quiet.quiet()
        assert quiet.row(name).state == "whole"


def test_what_comes_later_makes_it_whole_anew(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        study, series = generate_uid(), generate_uid()
        name = quiet.receive(slices(study, series))
        quiet.quiet()
        quiet.receive(slices(study, series, (3,)))
        assert quiet.row(name).state == "receiving"
        quiet.quiet()
        assert (quiet.row(name).state, quiet.row(name).generation) == ("whole", 2)
        assert len(quiet.rows(schema.jobs, kind="pacs_take", unique_key=f"pacs-take-{name}-2")) == 1


def test_a_study_that_moved_since_it_was_looked_at_is_left(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        study, series = generate_uid(), generate_uid()
        name = quiet.receive(slices(study, series))
        before = quiet.row(name)
        quiet.receive(slices(study, series, (3,)))
        with writing(made.service.records) as connection:
            assert not whole.make_whole(connection, name, before.generation, quiet.clock(), before.last_at)
            assert not whole.make_whole(connection, name, 7, quiet.clock(), quiet.row(name).last_at)
        assert quiet.row(name).state == "receiving"


@pytest.mark.parametrize("state", ["failed", "dead", "cancelled"])
def test_a_study_whose_job_ended_badly_says_so(made: Made, tmp_path: Path, state: str) -> None:
    with node(made, tmp_path) as quiet:
        name = quiet.receive(slices())
        quiet.quiet()
        error = {"code": "broken", "message": "It broke."}
        with writing(made.service.records) as connection:
            this = update(schema.jobs).where(schema.jobs.c.unique_key == f"pacs-take-{name}-1")
            connection.execute(this.values(state=state, error=error))
        quiet.look()
        found = quiet.row(name)
        assert found.state == "failed"
        assert found.error["code"] == ("cancelled" if state == "cancelled" else "broken")
        (told,) = quiet.rows(schema.trail, action="pacs.take", subject=name)
        assert (told.actor, told.outcome) == ("pacs:SCANNER", "failed")


def test_a_failed_study_can_be_tried_again_and_one_that_comes_in_not(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        name = quiet.receive(slices())
        with writing(made.service.records) as connection, pytest.raises(RequestError, match="receiving") as caught:
            whole.retry(connection, name, quiet.clock())
        assert caught.value.status == 409
        with writing(made.service.records) as connection:
            this = update(schema.pacs_studies).where(schema.pacs_studies.c.id == name)
            connection.execute(this.values(state="failed", generation=1, error={"code": "x", "message": "y"}))
            whole.retry(connection, name, quiet.clock())
        found = quiet.row(name)
        assert (found.state, found.generation, found.error) == ("whole", 2, None)
        with writing(made.service.records) as connection, pytest.raises(RequestError) as missing:
            whole.retry(connection, "none", quiet.clock())
        assert missing.value.status == 404


def test_a_study_that_the_node_was_killed_over_some_times_is_not_given_up(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        name = quiet.receive(slices())
        quiet.quiet()
        (waiting,) = quiet.rows(schema.jobs, unique_key=f"pacs-take-{name}-1")
        with writing(made.service.records) as connection:  # those of other tests
            others = update(schema.jobs).where(schema.jobs.c.id != waiting.id)
            connection.execute(others.values(state="cancelled"))
        for kill in range(10):
            at = waiting.run_after + timedelta(minutes=2 * kill)
            with writing(made.service.records) as connection:
                job = queue.claim(connection, f"node-{kill}", [whole.TAKE], at, timedelta(minutes=1))
            assert job is not None, kill
            assert (job.id, job.attempts) == (waiting.id, kill + 1)
