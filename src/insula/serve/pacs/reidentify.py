"""Results of a pseudonymised study as they go back: with the true patient and the true UIDs of the study.

What is stored stays under pseudonyms; a copy is changed just before it is sent, by the node, which alone has the key.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from sqlalchemy import Connection, select

from insula.serve.pacs.identity import Seal, needed
from insula.serve.pacs.pseudonymise import place
from insula.serve.store import schema

_TEXTS: Final = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "PN"})
_STAND_IN: Final = re.compile(r"2\.25\.[0-9]+|p[a-z2-7]{12}")  # as `cohort.deidentify.keys` makes them
_MARKS: Final = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)


@dataclass(frozen=True, eq=False)
class Identity:
    """Who the patient of a pseudonymised study is; of all of them, where several were joined.

    patients: PatientID in the records → the true one. studies: the records' StudyInstanceUID → attributes of the
    patient and the study as they came, PatientID and AccessionNumber among them where they were sent. uids: stand-in →
    what is sent in its place: the true UIDs of the studies, their series, frames of reference and instances; and others
    of their own for results.
    """

    patients: Mapping[str, str] = field(repr=False)
    studies: Mapping[str, Dataset] = field(repr=False)
    uids: Mapping[str, str] = field(repr=False)
    seal: Seal

    def text(self, text: str) -> str:
        """A text, a message or a report, with the patient's true number and UIDs wherever their stand-ins stand."""
        return _STAND_IN.sub(lambda match: self._true(match[0]), text)

    def of(self, study_uid: str) -> Dataset:
        """What is put back into an object of this study: nothing, where the study came as it is."""
        return self.studies.get(study_uid, Dataset())

    def uid(self, uid: str) -> str:
        """What is sent in the place of a UID."""
        return self.uids.get(uid, uid)

    def _true(self, said: str) -> str:
        return self.patients.get(said) or self.uid(said)


def read_identity(connection: Connection, seal: Seal | None, study_id: str) -> Identity | None:
    """The identity of a study in the records (`studies.id`); None where it came without pseudonyms, or not by network.

    Raises IdentityError where the key is missing or another one, or the records have been changed.
    """
    studies = schema.pacs_studies.c
    rows = connection.execute(
        select(studies.id, studies.study_uid, studies.identity)
        .where(studies.study_id == study_id, studies.identity.is_not(None))
        .order_by(studies.seq)
    ).all()
    if not rows:
        return None
    key = needed(seal)
    opened = [(row, key.open(row.identity, place("study", row.study_uid))) for row in rows]
    uids = {uid: key.pseudonyms.uid(uid) for uid in _made(connection, study_id)}
    for row, told in opened:
        uids |= {row.study_uid: told["uid"]} | _below(connection, key, row.id)
    said = {row.study_uid: Dataset.from_json(told["said"]) for row, told in opened}
    patients = {told["pseudonym"]: str(said[row.study_uid].get("PatientID") or "") for row, told in opened}
    return Identity(patients, said, uids, key)


def reidentify(objects: Sequence[FileDataset], identity: Identity) -> tuple[FileDataset, ...]:
    """Copies of result objects with the true patient, study and references, in UTF-8; the originals stay as they are.

    The objects' own UIDs are replaced too, always by the same ones: what is stored and what is sent are different
    objects. Pixel data are shared with the originals.
    """
    own = {str(one[keyword].value) for one in objects for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
    mine = {uid: identity.seal.pseudonyms.uid(uid) for uid in own}
    whole = replace(identity, uids=mine | dict(identity.uids))
    return tuple(_one(one, whole) for one in objects)


def _made(connection: Connection, study_id: str) -> Iterator[str]:
    """The UIDs of all that was made of a study's predictions: objects refer to one another."""
    made = schema.pacs_objects.c
    these = select(schema.predictions.c.id).where(schema.predictions.c.study_id == study_id)
    for row in connection.execute(select(made.series_uid, made.sop_instance_uid).where(made.prediction_id.in_(these))):
        yield from row


def _below(connection: Connection, seal: Seal, pacs_study: str) -> dict[str, str]:
    series, instances = schema.pacs_series.c, schema.pacs_instances.c
    found: dict[str, str] = {}
    for row in connection.execute(
        select(series.series_uid, series.identity).where(
            series.pacs_study_id == pacs_study, series.identity.is_not(None)
        )
    ):
        found[row.series_uid] = seal.open(row.identity, place("series", row.series_uid))["uid"]
    lying = select(instances.sop_instance_uid, instances.identity).join(
        schema.pacs_series, series.id == instances.pacs_series_id
    )
    for row in connection.execute(lying.where(series.pacs_study_id == pacs_study, instances.identity.is_not(None))):
        told = seal.open(row.identity, place("instance", row.sop_instance_uid))
        found[row.sop_instance_uid] = told["uid"]
        if frame := told.get("frame"):
            found[seal.pseudonyms.uid(frame)] = frame
    return found


def _one(made: FileDataset, identity: Identity) -> FileDataset:
    found = copy.deepcopy(made)  # bytes are not copied: they cannot be changed
    true = identity.of(str(found.StudyInstanceUID))
    shifted = {str(found.get("StudyDate") or ""): str(true.get("StudyDate") or "")}
    _walk(found, identity, true, {old: new for old, new in shifted.items() if old and new})
    _walk(found.file_meta, identity, true, {})
    for keyword in _MARKS if true else ():
        if keyword in found:
            delattr(found, keyword)
    found.update(copy.deepcopy(true))
    found.SpecificCharacterSet = "ISO_IR 192"
    return found


def _walk(dataset: Dataset, identity: Identity, true: Dataset, shifted: Mapping[str, str]) -> None:
    """Put the true UIDs, number and study date in their places, in every item too."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                _walk(item, identity, true, shifted)
                _nested(item, true)
        elif element.VR == "UI":
            element.value = _each(element.value, identity.uid)
        elif element.VR == "DA":
            element.value = _each(element.value, lambda day: shifted.get(day, day))
        elif element.VR in _TEXTS and element.value:
            element.value = _each(element.value, identity.text)


def _nested(item: Dataset, true: Dataset) -> None:
    """Attributes of the request or the patient that an item repeats."""
    for keyword in ("AccessionNumber", "PatientName", "PatientID"):
        if keyword in item and keyword in true:
            item[keyword].value = true[keyword].value


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, MultiValue | list):
        return [change(str(one)) for one in value]
    return change(str(value)) if value is not None and str(value) else value
