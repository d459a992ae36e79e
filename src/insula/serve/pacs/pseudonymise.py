"""Objects under pseudonyms: on the way in, the profile of DICOM PS3.15, Annex E, takes out who the patient is.

The same identifier always gets the same stand-in, so that a study that comes in pieces, or again, stays one study.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from insula.cohort.deidentify.values import element_of
from insula.core.errors import ScanError, UsageError
from insula.serve.pacs.identity import Seal, needed, seal_of
from insula.serve.pacs.rules import Rules, SeriesFacts, read_rules
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.silent import silent

# dates are moved by the same days in all of a patient's objects; age, sex and size stay, and texts' words of scanning
OPTIONS: Final = frozenset({"shifted-dates", "retain-patient", "clean-descriptors", "retain-safe-private"})
# what a result has to say of the patient and the study, once it goes back (PS3.3, C.7.1.1, C.7.2.1)
_STUDY_NAMES: Final = """
PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex PatientAge PatientSize
PatientWeight OtherPatientNames EthnicGroup AccessionNumber IssuerOfAccessionNumberSequence StudyID StudyDate StudyTime
StudyDescription ReferringPhysicianName AdmissionID
"""
_STUDY: Final = tuple(_STUDY_NAMES.split())
# secondary captures of one frame and of several, and encapsulated documents (PS3.4, table B.5-1)
_NEVER: Final = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.104")
_TURN: Final = threading.Lock()  # an object needs several times its own memory meanwhile
_LONGEST: Final = 4096  # characters of one attribute


class NotPseudonymisedError(ScanError):
    """An object whose patient cannot be taken out of it: it is not stored."""

    code = "not_pseudonymised"


@dataclass(frozen=True)
class Pseudonymised:
    """An object under pseudonyms. data: the new file (PS3.10). study, series, instance: sealed, see `reidentify`.

    content: what tells a repeat from another object; a keyed digest, since the digest of a file names its patient to
    whoever has the file.
    """

    data: bytes
    content: str
    study: str
    series: str
    instance: str


@dataclass(frozen=True)
class Pseudonyms:
    """What decides on pseudonyms. seal: None where the process has no key; what should be pseudonymised is refused."""

    rules: Rules
    seal: Seal | None

    def asked(self, facts: SeriesFacts) -> bool:
        """Whether an object with these facts is stored under pseudonyms alone."""
        rule = self.rules.first(facts)
        return self.rules.pseudonymise if rule is None else rule.pseudonymise

    def barred(self, source: str, class_uid: str) -> bool:
        """Whether every object of a class would be refused that a source sends, as `never` and no rule has it plain."""
        return never(class_uid) and not self.rules.plain(source)

    def names(self, uid: str) -> tuple[str, ...]:
        """The UIDs under which an object or a study that a sender speaks of may lie in the records."""
        return (uid,) if self.seal is None else (uid, self.seal.pseudonyms.uid(uid))


def pseudonyms_of(settings: PacsSettings) -> Pseudonyms:
    """The rules and the seal of the settings; UsageError where a rule asks for pseudonyms and there is no key."""
    found = Pseudonyms(read_rules(settings.rules), seal_of(settings))
    if found.rules.pseudonymise and found.seal is None:
        raise UsageError(
            "The rules store studies under pseudonyms, and INSULA_PACS_IDENTITY_KEY is not set; make a key with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))', and keep a copy apart from the records."
        )
    return found


def never(class_uid: str) -> bool:
    """Whether objects of a SOP class are not stored under pseudonyms, since they show or hold writing."""
    return any(class_uid == one or class_uid.startswith(f"{one}.") for one in _NEVER)


def pseudonymise(data: bytes, content: str, facts: SeriesFacts, seal: Seal | None) -> Pseudonymised:
    """One object with stand-ins for all that names its patient, and what was sealed of it.

    data: a file (PS3.10). content: digest of its data set as it was sent. facts: of the series as it came; rules go by
    them later too. Raises NotPseudonymisedError without a key, for pictures that may show writing (screen captures,
    secondary captures), encapsulated documents, and objects that cannot be read to the end; the message repeats nothing
    of the object.
    """
    if seal is None:
        raise NotPseudonymisedError(
            "A rule stores such objects under pseudonyms, and this process has no INSULA_PACS_IDENTITY_KEY."
        )
    from insula.cohort.deidentify.dicom import subject  # with OpenCV, which not every process needs
    from insula.cohort.deidentify.one import Policy, process_dicom
    from insula.scans import header

    with _TURN, silent():
        outcome = process_dicom(data, seal.pseudonyms, Policy(OPTIONS, "blank", None))
        if outcome.data is None:
            raise NotPseudonymisedError(f"The object cannot be stored under pseudonyms: {outcome.reason}.")
        original = header.load(Path("object"), pixels=False, data=data)
        study, series, instance = (str(original[f"{part}InstanceUID"].value) for part in ("Study", "Series", "SOP"))
        frame = element_of(original, 0x00200052) if "FrameOfReferenceUID" in original else None
    key = seal.pseudonyms
    return Pseudonymised(
        outcome.data,
        key.digest("content", content).hex(),
        seal.close(
            {"uid": study, "pseudonym": key.name(subject(original)), "said": said(original, _STUDY)},
            place("study", key.uid(study)),
        ),
        seal.close({"uid": series, "facts": astuple(facts)}, place("series", key.uid(series))),
        seal.close(
            {"uid": instance} | ({"frame": str(frame.value)} if frame is not None and frame.value else {}),
            place("instance", key.uid(instance)),
        ),
    )


def facts_of_series(series_uid: str, sealed: str | None, stored: SeriesFacts, seal: Seal | None) -> SeriesFacts:
    """What rules look at, of a series in the records: as it came in, also where only its words of scanning are stored.

    series_uid, sealed: of the row in `pacs_series`. Raises IdentityError where the key is missing or another one.
    """
    if sealed is None:
        return stored
    told = needed(seal).open(sealed, place("series", series_uid))
    return SeriesFacts(*(str(part) for part in told["facts"]))


def place(level: str, uid: str) -> str:
    """What a sealed identity belongs to: the level and the pseudonymous UID of its row."""
    return f"{level}\0{uid}"


def said(dataset: Dataset, keywords: Iterable[str]) -> dict[str, Any]:
    """Attributes of a data set in the DICOM JSON model (PS3.18, Annex F), without those that are damaged or long."""
    found: dict[str, Any] = {}
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        element = element_of(dataset, tag) if tag is not None and tag in dataset else None
        told = None if element is None else _json(element)
        if tag is not None and told is not None and len(str(told)) <= _LONGEST:
            found[f"{tag:08X}"] = told
    return found


def _json(element: DataElement) -> Any:
    try:
        return element.to_json_dict(None, 0)
    except Exception:  # noqa: BLE001 - values are converted here, and pydicom raises anything on damaged ones
        return None
