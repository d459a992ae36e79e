"""A whole study becomes a study of the records, is predicted by each model that the rules name, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import update
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import Quiet, node, slices

from insula.serve.jobs import queue
from insula.serve.jobs.worker import Handler
from insula.serve.pacs import take, whole
from insula.serve.store import schema, studies
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
SENT = """
rules:
  - name: heads
    when: {modality: CT, source: SCAN*}
    project: Inside
    model: tiny-ct
    send: [archive, ward]
    objects: [report, pdf]
    uncertainty: false
"""
PICKY = """
rules:
  - {name: thin, when: {series_description: thin}, project: Inside, model: tiny-ct}
  - {name: mri, when: {modality: MR}, project: Outside, model: tiny-ct}
"""


@pytest.fixture
def quiet(made: Made, tmp_path: Path) -> Iterator[Quiet]:
    with node(made, tmp_path) as found:
        yield found


def test_a_study_is_taken_and_predicted(quiet: Quiet) -> None:
    objects = slices(patient="P-taken", PatientName="Doe^Jane^Ann", StudyDescription="Head routine")
    found = quiet.taken(objects)
    assert (found.state, found.project_id, found.error) == ("taken", quiet.made.inside, None)
    with reading(quiet.made.service.records) as connection:
        study = studies.get(connection, found.study_id, None)
        files = studies.files_of(connection, study.id)
    assert (study.patient_key, study.patient_name, study.title) == ("P-taken", "Doe, Jane Ann", "Head routine")
    assert [one.name for one in files] == ["00001.dcm", "00002.dcm"]
    (scan,) = study.facts["scan"]["scans"]
    assert (scan["modality"], scan["slices"]) == ("CT", 2)
    assert "P-taken" not in str(study.facts)
    instances = quiet.rows(schema.pacs_instances)
    assert {one.sha256 for one in files} <= {row.sha256 for row in instances}, "stored once"
    (prediction,) = quiet.rows(schema.predictions, study_id=study.id)
    (job,) = quiet.rows(schema.jobs, study_id=study.id, kind="predict")
    assert prediction.job_id == job.id
    assert (job.unique_key, job.project_id) == (f"pacs-predict-{found.id}-1-tiny-ct", quiet.made.inside)
    assert "send" not in job.payload
    (told,) = quiet.rows(schema.trail, action="pacs.take", subject=study.id)
    assert (told.actor, told.outcome) == ("pacs:SCANNER", "done")
    assert "P-taken" not in str(told)


def test_the_job_says_what_is_sent_where(made: Made, tmp_path: Path) -> None:
    peers = "archive=dicom://A@127.0.0.1:104 ward=dicom://W@127.0.0.1:105"
    with node(made, tmp_path, SENT, peers=peers) as quiet:
        found = quiet.taken(slices(), predict=False)
        (job,) = quiet.rows(schema.jobs, study_id=found.study_id, kind="predict")
        assert job.payload["send"] == {"peers": ["archive", "ward"], "objects": ["report", "pdf"]}
        assert job.payload["uncertainty"] is False
        quiet.worked()


def test_what_comes_later_is_added_and_predicted_anew(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    first = quiet.taken(slices(study, series))
    found = quiet.taken(slices(study, series, (3,)))
    assert (found.study_id, found.generation, found.state) == (first.study_id, 2, "taken")
    with reading(quiet.made.service.records) as connection:
        record = studies.get(connection, found.study_id, None)
        assert len(studies.files_of(connection, found.study_id)) == 3
    assert record.facts["scan"]["scans"][0]["slices"] == 3
    assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 2


def test_a_prediction_that_nobody_began_gives_way_to_that_of_the_whole(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    quiet.taken(slices(study, series), predict=False)
    found = quiet.taken(slices(study, series, (3,)), predict=False)
    jobs = quiet.rows(schema.jobs, study_id=found.study_id, kind="predict")
    assert [one.state for one in jobs] == ["cancelled", "waiting"]
    quiet.worked()
    assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_the_same_objects_again_change_nothing(quiet: Quiet) -> None:
    objects = slices()
    first = quiet.taken(objects)
    found = quiet.taken(objects)
    assert (found.state, found.generation) == ("taken", 1)
    assert len(quiet.rows(schema.predictions, study_id=first.study_id)) == 1


def test_objects_that_come_while_it_is_taken_make_it_whole_anew(quiet: Quiet) -> None:
    study, series = generate_uid(), generate_uid()
    name = quiet.receive(slices(study, series))
    quiet.quiet()
    with writing(quiet.made.service.records) as connection:
        job = queue.claim(connection, "me", [take.KIND], quiet.clock(), timedelta(minutes=1))
    assert job is not None
    handler: Handler = take.handler(quiet.made.service, quiet.settings)
    write = handler(job, lambda *_: None, lambda: False)
    quiet.receive(slices(study, series, (3,)))
    with writing(quiet.made.service.records) as connection:
        write(connection)
    found = quiet.row(name)
    assert (found.state, found.study_id is None) == ("receiving", False)
    quiet.quiet()
    quiet.worked()
    assert (quiet.row(name).state, quiet.row(name).generation) == ("taken", 2)


def test_a_job_of_an_earlier_generation_does_nothing(quiet: Quiet) -> None:
    name = quiet.receive(slices())
    quiet.quiet()
    with writing(quiet.made.service.records) as connection:
        this = update(schema.pacs_studies).where(schema.pacs_studies.c.id == name)
        connection.execute(this.values(generation=2))
    quiet.worked()
    (job,) = quiet.rows(schema.jobs, unique_key=f"pacs-take-{name}-1")
    assert (job.state, job.result) == ("done", {"stale": True})
    assert quiet.row(name).study_id is None


def test_a_study_that_no_rule_takes_is_unrouted_until_the_rules_change(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path) as quiet:
        found = quiet.taken(slices(BodyPartExamined="FOOT"))
        assert (found.state, found.study_id) == ("unrouted", None)
        (tmp_path / "rules.yaml").write_text("rules: [{name: all, project: Inside}]", encoding="utf-8")
        with writing(made.service.records) as connection:
            whole.retry(connection, found.id, quiet.clock())
        quiet.worked()
        found = quiet.row(found.id)
        assert (found.state, found.project_id) == ("taken", made.inside)
        assert quiet.rows(schema.jobs, study_id=found.study_id, kind="predict") == [], "the rule names no model"


def test_only_the_series_that_a_rule_takes_are_taken(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, PICKY) as quiet:
        study, thin = generate_uid(), generate_uid()
        quiet.receive(slices(study, SeriesDescription="thick"))
        quiet.receive(slices(study, modality="MR", SeriesDescription="t1"))
        found = quiet.taken(slices(study, thin, (1, 2, 3), SeriesDescription="thin"))
        assert (found.state, found.project_id) == ("taken", made.inside), "of the first rule that takes a series"
        with reading(made.service.records) as connection:
            assert len(studies.files_of(connection, found.study_id)) == 3
        (job,) = quiet.rows(schema.jobs, study_id=found.study_id, kind="predict")
        assert (job.payload["series"], job.state) == ({"ct": thin}, "done")


def test_two_series_for_one_input_are_kept_and_somebody_is_told(quiet: Quiet) -> None:
    study = generate_uid()
    quiet.receive(slices(study))
    found = quiet.taken(slices(study))
    assert (found.state, found.error["code"]) == ("failed", "several_series")
    assert "series_description" in found.error["message"]
    assert found.study_id is not None, "somebody may ask for one of them"
    assert quiet.rows(schema.jobs, study_id=found.study_id, kind="predict") == []


def test_localisers_do_not_make_it_two_series(quiet: Quiet) -> None:
    study = generate_uid()
    quiet.receive(slices(study, numbers=(1,), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    found = quiet.taken(slices(study))
    assert (found.state, found.error) == ("taken", None)
    assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_a_project_that_is_not_there_is_told(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, "rules: [{name: all, project: Nowhere}]") as quiet:
        found = quiet.taken(slices())
        assert (found.state, found.study_id, found.error["code"]) == ("failed", None, "no_project")
        assert "'Nowhere'" in found.error["message"]


def test_a_study_without_its_model_is_kept_and_predicted_once_when_it_comes(made: Made, tmp_path: Path) -> None:
    rules = "rules: [{name: all, project: Inside, model: later}]"
    with node(made, tmp_path, rules) as quiet:
        found = quiet.taken(slices())
        assert (found.state, found.error["code"]) == ("failed", "no_active_model")
        (tmp_path / "rules.yaml").write_text(rules.replace("later", "tiny-ct"), encoding="utf-8")
        for _ in range(2):
            with writing(made.service.records) as connection:
                whole.retry(connection, found.id, quiet.clock())
            quiet.worked()
        again = quiet.row(found.id)
        assert (again.state, again.study_id, again.error) == ("taken", found.study_id, None)
        assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1
        assert len(quiet.rows(schema.files, study_id=found.study_id)) == 2


def test_one_model_that_is_missing_does_not_hold_up_another(made: Made, tmp_path: Path) -> None:
    rules = """
rules:
  - {name: mr, when: {modality: MR}, project: Inside, model: missing}
  - {name: ct, when: {modality: CT}, project: Inside, model: tiny-ct}
"""
    with node(made, tmp_path, rules) as quiet:
        study = generate_uid()
        quiet.receive(slices(study, modality="MR"))
        found = quiet.taken(slices(study))
        assert (found.state, found.error["code"]) == ("failed", "no_active_model")
        assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_a_series_that_no_model_looks_at_has_nothing_predicted_anew(made: Made, tmp_path: Path) -> None:
    rules = """
rules:
  - {name: ct, when: {modality: CT}, project: Inside, model: tiny-ct}
  - {name: keep, project: Inside}
"""
    with node(made, tmp_path, rules) as quiet:
        study = generate_uid()
        quiet.taken(slices(study))
        found = quiet.taken(slices(study, modality="MR"))
        assert (found.state, found.generation) == ("taken", 2)
        assert len(quiet.rows(schema.files, study_id=found.study_id)) == 4
        assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_a_prediction_that_failed_is_made_when_the_study_is_tried_again(quiet: Quiet) -> None:
    found = quiet.taken(slices(), predict=False)
    with writing(quiet.made.service.records) as connection:
        this = update(schema.jobs).where(schema.jobs.c.study_id == found.study_id, schema.jobs.c.kind == "predict")
        connection.execute(this.values(state="failed"))
        whole.retry(connection, found.id, quiet.clock())
    quiet.worked()
    assert quiet.row(found.id).state == "taken"
    assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_two_patients_in_one_study_are_refused_and_not_named(quiet: Quiet) -> None:
    study = generate_uid()
    quiet.receive(slices(study, patient="P-one"))
    found = quiet.taken(slices(study, patient="P-two"))
    assert (found.state, found.study_id, found.error["code"]) == ("failed", None, "several_patients")
    assert "P-one" not in str(found.error)
    assert "P-two" not in str(found.error)


def test_another_person_under_a_known_key_is_refused(quiet: Quiet) -> None:
    quiet.made.study(patient="P-slip")  # its headers name another patient than its key
    found = quiet.taken(slices(patient="P-slip"))
    assert (found.state, found.study_id, found.error["code"]) == ("failed", None, "another_patient")


def test_a_patient_without_an_id_is_one_of_his_own(quiet: Quiet) -> None:
    first, second = (quiet.taken(slices(patient="")) for _ in range(2))
    with reading(quiet.made.service.records) as connection:
        keys = {studies.get(connection, one.study_id, None).patient_key for one in (first, second)}
    assert keys == {f"no-id-{first.id[:12]}", f"no-id-{second.id[:12]}"}


def test_what_cannot_be_read_is_told_without_a_path(quiet: Quiet) -> None:
    found = quiet.taken(slices(Rows=999))
    assert (found.state, found.study_id) == ("failed", None)
    assert found.error["code"] != "internal"
    assert "/tmp" not in found.error["message"]


HIDDEN = """
rules:
  - {name: hidden, when: {series_description: 'Dr Smith*'}, project: Inside, model: tiny-ct, pseudonymise: true,
     instances: 2}
"""


def test_a_study_under_pseudonyms_is_taken_by_what_it_was_called(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, HIDDEN, identity_key="i" * 40) as quiet:
        name = quiet.receive(slices(patient="P-hide", PatientName="Hide^Me", SeriesDescription="Dr Smith's head"))
        quiet.look()
        assert quiet.row(name).state == "whole", "it is counted by the same rule"
        quiet.worked()
        found = quiet.row(name)
        assert (found.state, found.error) == ("taken", None)
        with reading(made.service.records) as connection:
            study = studies.get(connection, found.study_id, None)
        assert "P-hide" not in study.patient_key
        assert "Hide" not in study.patient_name
        assert len(quiet.rows(schema.predictions, study_id=found.study_id)) == 1


def test_a_study_under_pseudonyms_without_their_key_waits_for_it(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, HIDDEN, identity_key="i" * 40) as quiet:
        name = quiet.receive(slices(SeriesDescription="Dr Smith's head"))
    with node(made, tmp_path, HIDDEN, identity_key="j" * 40) as other:
        other.look()
        assert other.row(name).state == "receiving", "nobody knows which rule counts it"
        other.quiet()
        other.worked()
        other.look()
        found = other.row(name)
        assert (found.state, found.error["code"]) == ("failed", "identity")
        assert "INSULA_PACS_IDENTITY_KEY" in found.error["message"]


def test_a_joined_study_still_knows_what_came(quiet: Quiet) -> None:
    first, second = (quiet.taken(slices(patient="P-join"), predict=False) for _ in range(2))
    with writing(quiet.made.service.records) as connection:
        assert studies.join(connection, [first.study_id, second.study_id]) == first.study_id
    assert quiet.row(second.id).study_id == first.study_id
