"""Results of a pseudonymised study: what is stored names nobody, and what a peer gets names the patient."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select
from tests.serve.api.made import Made
from tests.serve.pacs.made_peers import acks, archive, line
from tests.serve.pacs.made_studies import QUIET, node
from tests.serve.pacs.sending import (
    ACCESSION,
    NAME,
    TAKES,
    ask,
    deliveries,
    head,
    job,
    parsed,
    read,
    settings_of,
    worked,
)

from insula.scans.write import made_uid
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.objects import KINDS, objects_of
from insula.serve.pacs.pseudonymise import Pseudonyms
from insula.serve.pacs.received import receive
from insula.serve.pacs.rules import read_rules
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
SECRET = "i" * 40
RULES = "rules: [{name: all, project: Inside, model: tiny-ct, pseudonymise: true}]"


def hidden(made: Made, folder: Path, patient: str) -> dict[str, str]:
    """The prediction of a study that came in under pseudonyms."""
    with node(made, folder, RULES, identity_key=SECRET) as quiet:
        pseudonyms = Pseudonyms(read_rules(quiet.settings.rules), seal_of(quiet.settings))
        for number in (1, 2, 3):
            receive(made.service, head(number, patient), "SCANNER", pseudonyms=pseudonyms)
        quiet.later += QUIET
        quiet.quiet()
        quiet.worked()
        study = quiet.rows(schema.pacs_studies)[-1]
        assert study.identity
        (answer,) = quiet.rows(schema.predictions, study_id=study.study_id)
        return {"id": answer.id, "study_id": answer.study_id}


def with_key(settings: PacsSettings, secret: str = SECRET) -> PacsSettings:
    return read_pacs_settings(peers=settings.peers, identity_key=secret)


def test_objects_are_stored_under_pseudonyms_and_sent_with_the_patient(made: Made, tmp_path: Path) -> None:
    answer = hidden(made, tmp_path, "HIDDEN-1")
    stored: list[Dataset] = [read(made, one) for one in objects_of(made.service, answer["id"], KINDS)]
    for one in stored:
        text = one.to_json()
        for word in ("Öztürk", "HIDDEN-1", ACCESSION, made_uid("study of", "HIDDEN-1")):
            assert word not in text
    with archive(does=TAKES) as there:
        name = ask(made, answer, "archive", list(KINDS))
        assert worked(made, with_key(settings_of(archive=there.address))) == 1
    assert job(made, name).state == "done", job(made, name).error
    sent = [parsed(data) for data in there.stored]
    assert len(sent) == len(stored)
    for one in sent:
        assert (str(one.PatientName), one.PatientID, one.AccessionNumber) == (NAME, "HIDDEN-1", ACCESSION)
        assert one.StudyInstanceUID == made_uid("study of", "HIDDEN-1")
        assert one.SOPInstanceUID not in {kept.SOPInstanceUID for kept in stored}
    (report,) = (one for one in sent if one.Modality == "SR")
    assert made_uid("slice of", "HIDDEN-1", 1) in report.to_json()
    (before,), (after,) = ([one for one in some if one.SOPClassUID == TAKES[3]] for some in (stored, sent))
    assert bytes(after.EncapsulatedDocument).startswith(b"%PDF")
    assert bytes(after.EncapsulatedDocument) != bytes(before.EncapsulatedDocument)
    assert len(after.EncapsulatedDocument) - after.EncapsulatedDocumentLength in (0, 1)


def test_messages_name_the_patient_too(made: Made, tmp_path: Path) -> None:
    answer = hidden(made, tmp_path, "HIDDEN-2")
    got: list[bytes] = []
    with line(acks(got=got)) as port:
        ask(made, answer, "ris", ["report"])
        assert worked(made, with_key(settings_of(ris=f"mllp://127.0.0.1:{port}"))) == 1
    text = got[0].decode()
    assert "|HIDDEN-2|" in text
    assert f"|{made_uid('study of', 'HIDDEN-2')}|" in text
    assert ACCESSION in text
    assert "|20261125093000|" in text, "the day of the study, and not the one that it was moved to"


@pytest.mark.parametrize("secret", ["", "another secret that is long enough, too"])
def test_without_the_key_nothing_goes_out(made: Made, tmp_path: Path, secret: str) -> None:
    answer = hidden(made, tmp_path, f"HIDDEN-3-{len(secret)}")
    got: list[bytes] = []
    with archive(does=TAKES) as there, line(acks(got=got)) as port:
        names = [ask(made, answer, peer, ["report"]) for peer in ("archive", "ris")]
        known = settings_of(archive=there.address, ris=f"mllp://127.0.0.1:{port}")
        worked(made, with_key(known, secret) if secret else known)
    assert there.stored == []
    assert got == []
    assert deliveries(made, answer["id"]) == []
    for name in names:
        assert job(made, name).error["code"] == "identity"
        assert "INSULA_PACS_IDENTITY_KEY" in job(made, name).error["message"]


def test_what_was_sent_twice_is_the_same_object(made: Made, tmp_path: Path) -> None:
    answer = hidden(made, tmp_path, "HIDDEN-4")
    seen = []
    for _ in range(2):
        with archive(does=TAKES) as there:
            ask(made, answer, "archive", ["report", "map"])
            worked(made, with_key(settings_of(archive=there.address)))
        seen.append([parsed(data).SOPInstanceUID for data in there.stored])
    assert seen[0] == seen[1] != []
    with reading(made.service.records) as connection:
        trail = str(connection.execute(select(schema.trail)).all())
    assert "HIDDEN-4" not in trail
