"""Studies as they come over the network, and a node without a network: what it takes is worked on where a test says."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import generate_uid
from sqlalchemy import Row, select
from tests.serve.api.made import Made
from tests.serve.client import dicom

from insula.serve.jobs.worker import work
from insula.serve.pacs import take, whole
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.pseudonymise import pseudonyms_of
from insula.serve.pacs.received import receive
from insula.serve.pacs.rules import read_rules
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading
from insula.serve.work import handlers

QUIET = timedelta(seconds=20)
HEADS = """
rules:
  - {name: heads, when: {modality: CT, body_part: HEAD*}, project: Inside, model: tiny-ct}
"""


def slices(
    study: str = "",
    series: str = "",
    numbers: Sequence[int] = (1, 2),
    patient: str = "P-9",
    modality: str = "CT",
    **attributes: Any,
) -> list[bytes]:
    """Objects of one series. attributes: DICOM keywords with other values, None to leave one out."""
    found = []
    study, series = study or generate_uid(), series or generate_uid()
    for number in numbers:
        one = pydicom.dcmread(io.BytesIO(dicom(modality, number, series, patient=patient)))
        one.StudyInstanceUID, one.StudyDescription, one.BodyPartExamined = study, "Head", "HEAD"
        for name, value in attributes.items():
            if value is None:
                delattr(one, name)
            else:
                setattr(one, name, value)
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
        stream = io.BytesIO()
        one.save_as(stream, enforce_file_format=True)
        found.append(stream.getvalue())
    return found


@dataclass
class Quiet:
    """A node of which every part is moved by the test. at: what its clock says beyond the true time."""

    made: Made
    settings: PacsSettings
    later: timedelta = timedelta()

    def receive(self, objects: Sequence[bytes], source: str = "SCANNER") -> str:
        """Let objects come in; the id of the received study of the last."""
        pseudonyms = pseudonyms_of(self.settings)
        for one in objects:
            uid = receive(self.made.service, one, source, pseudonyms=pseudonyms).study_uid
        studies = schema.pacs_studies.c
        with reading(self.made.service.records) as connection:
            this = select(studies.id).where(studies.study_uid.in_(pseudonyms.names(uid)))
            return str(connection.execute(this).scalar_one())

    def clock(self) -> datetime:
        """The node's time."""
        return schema.now() + self.later

    def look(self, started: datetime | None = None) -> int:
        """One look for whole studies, of a node that has run for long; how many studies changed."""
        rules, seal = read_rules(self.settings.rules), seal_of(self.settings)
        begun = started or schema.now() - timedelta(days=9)
        return whole.round_of(self.made.service, rules, QUIET, begun, self.clock, seal)

    def quiet(self) -> None:
        """Nothing comes for long enough."""
        self.later += QUIET + timedelta(seconds=1)
        self.look()

    def worked(self, predict: bool = True) -> int:
        """Work on all jobs that wait; how many ended."""
        service = self.made.service
        done = {take.KIND: take.handler(service, self.settings), **(handlers(service) if predict else {})}
        return work(service.records, done, "test", threading.Event(), clock=self.clock, until_idle=True)

    def row(self, pacs_study: str) -> Row[Any]:
        """The received study as it is now."""
        with reading(self.made.service.records) as connection:
            this = select(schema.pacs_studies).where(schema.pacs_studies.c.id == pacs_study)
            return connection.execute(this).one()

    def taken(self, objects: Sequence[bytes], predict: bool = True) -> Row[Any]:
        """Let a study come in, be whole and be worked on."""
        name = self.receive(objects)
        self.quiet()
        self.worked(predict)
        self.look()
        return self.row(name)

    def rows(self, table: Any, **values: Any) -> list[Row[Any]]:
        """The rows of a table with these values."""
        these = [table.c[name] == value for name, value in values.items()]
        with reading(self.made.service.records) as connection:
            return list(connection.execute(select(table).where(*these).order_by(table.c.seq)))


@contextmanager
def node(made: Made, folder: Path, rules: str = HEADS, **settings: Any) -> Iterator[Quiet]:
    """A quiet node with rules."""
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    yield Quiet(made, read_pacs_settings(rules=folder / "rules.yaml", **settings))
