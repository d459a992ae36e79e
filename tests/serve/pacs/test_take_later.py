"""What comes later of a study that was taken: by the rules of its project, and when it was joined meanwhile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import node, slices

from insula.serve.faults import RequestError
from insula.serve.jobs import queue
from insula.serve.pacs import take
from insula.serve.store import schema, studies
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
LATE = """
rules:
  - {name: mr, when: {modality: MR}, project: Outside, model: tiny-ct}
  - {name: ct, when: {modality: CT}, project: Inside, model: tiny-ct}
"""


def test_what_comes_later_is_taken_by_the_rules_of_the_study_s_project(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, LATE) as quiet:
        study, series = generate_uid(), generate_uid()
        quiet.taken(slices(study, series))
        quiet.receive(slices(study, modality="MR"))
        found = quiet.taken(slices(study, series, (3,)))
        assert (found.state, found.project_id, found.error) == ("taken", made.inside, None)
        with reading(made.service.records) as connection:
            record = studies.get(connection, found.study_id, None)
            assert len(studies.files_of(connection, found.study_id)) == 3, "those of the other project stay out"
        (scan,) = record.facts["scan"]["scans"]
        assert (scan["modality"], scan["slices"]) == ("CT", 3)
        assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 2


def test_a_study_that_is_joined_while_it_is_read_is_read_anew(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        study, series = generate_uid(), generate_uid()
        other = quiet.taken(slices(patient="P-joins"), predict=False)
        name = quiet.taken(slices(study, series, patient="P-joins"), predict=False).id
        quiet.receive(slices(study, series, (3,), patient="P-joins"))
        quiet.quiet()
        records = quiet.made.service.records
        with writing(records) as connection:
            job = queue.claim(connection, "me", [take.KIND], quiet.clock(), timedelta(minutes=1))
        assert job is not None
        write = take.handler(quiet.made.service, quiet.settings)(job, lambda *_: None, lambda: False)
        with writing(records) as connection:
            studies.join(connection, [other.study_id, quiet.row(name).study_id])
        with pytest.raises(RequestError) as caught, writing(records) as connection:
            write(connection)
        assert (caught.value.status, caught.value.fault_code) == (503, "joined")
        with writing(records) as connection:
            queue.fail(connection, job, {"code": "joined", "message": ""}, quiet.clock(), again=True)
        quiet.later += timedelta(hours=1)
        quiet.worked(predict=False)
        found = quiet.row(name)
        assert (found.state, found.study_id, found.error) == ("taken", other.study_id, None)
        assert len(quiet.rows(schema.files, study_id=other.study_id)) == 5
