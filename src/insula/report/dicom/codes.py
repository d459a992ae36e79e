"""Coded terms of the objects: DICOM's (PS3.16), SNOMED CT's where a name is one of theirs, and the program's own.

The program's own stand under the private scheme `99INSULA`, which every object declares that uses it (PS3.3 C.12.1).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from insula.report.case import record
from insula.report.dicom import text

SCHEME: Final = "99INSULA"

_PLAIN: Final = re.compile("[a-z0-9_-]{1,14}")

IMAGING: Final = Code("363679005", "SCT", "Imaging procedure")  # CID 100
_PROCEDURES: Final = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "PT": Code("44136-0", "LN", "PET unspecified body region"),
}
MODALITIES: Final = {  # CID 29
    "CT": Code("CT", "DCM", "Computed Tomography"),
    "MR": Code("MR", "DCM", "Magnetic Resonance"),
    "PT": Code("PT", "DCM", "Positron emission tomography"),
    "SM": Code("SM", "DCM", "Slide Microscopy"),
    "OT": Code("OT", "DCM", "Other"),
}
_HEAD_PROCEDURES: Final = {  # CID 646, where the headers say that it is the head
    "CT": Code("24725-4", "LN", "Head CT"),
    "MR": Code("24590-2", "LN", "Brain MRI"),
    "PT": Code("44138-6", "LN", "Brain PET"),
}
_HEAD: Final = ("HEAD", "BRAIN", "SKULL")
PROBABILITY: Final = Code("122157", "DCM", "Probability")
DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")  # CID 7464
FINDING: Final = Code("121071", "DCM", "Finding")
COMMENT: Final = Code("121106", "DCM", "Comment")
ONE: Final = Code("1", "UCUM", "no units")
YES: Final = Code("373066001", "SCT", "Yes")  # CID 230
NO: Final = Code("373067005", "SCT", "No")
POSITIVE: Final = Code("10828004", "SCT", "Positive")  # CID 250
NEGATIVE: Final = Code("260385009", "SCT", "Negative")
INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162
CLASS_ACTIVATION: Final = Code("130402", "DCM", "Class activation")  # CID 7180
SALIENCY: Final = Code("130404", "DCM", "Saliency")
SPATIAL: Final = Code("309825002", "SCT", "Spatial and Relational Concept")  # CID 7150
SELECTED: Final = Code("111099", "DCM", "Selected region")
SOURCE: Final = Code("121322", "DCM", "Source image for image processing operation")  # CID 7202
QUALITATIVE: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
STUDY_REPORT: Final = Code("18748-4", "LN", "Diagnostic imaging study")

_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")  # where the headers do not say which
_REGIONS: Final = {  # CID 4, by Body Part Examined (PS3.16 Annex L)
    "HEAD": Code("69536005", "SCT", "Head"),
    "BRAIN": Code("12738006", "SCT", "Brain"),
    "SKULL": Code("89546000", "SCT", "Skull"),
    "HEADNECK": Code("774007", "SCT", "Head and Neck"),
    "NECK": Code("45048000", "SCT", "Neck"),
}

# what people read for a class that is a term of SNOMED CT; any other is a term of the program's own
_KNOWN: Final = {
    "haemorrhage": Code("50960005", "SCT", "Hemorrhage"),
    "intracranial haemorrhage": Code("1386000", "SCT", "Intracranial hemorrhage"),
    "subarachnoid haemorrhage": Code("21454007", "SCT", "Subarachnoid intracranial hemorrhage"),
    "subdural haemorrhage": Code("35486000", "SCT", "Subdural intracranial hemorrhage"),
    "stroke": Code("230690007", "SCT", "Cerebrovascular Accident or Stroke"),
    "ischaemic stroke": Code("422504002", "SCT", "Ischemic stroke"),
    "malignant brain tumour": Code("428061005", "SCT", "Malignant neoplasm of brain"),
    "normal": Code("17621005", "SCT", "Normal"),
    "tumour": Code("108369006", "SCT", "Neoplasm"),
    "oedema": Code("79654002", "SCT", "Edema"),
    "lesion": Code("52988006", "SCT", "Lesion"),
    "mass": Code("4147007", "SCT", "Mass"),
}


def own(value: str, meaning: str) -> Code:
    """A term of the program's own. value: at most 16 characters."""
    return Code(value, SCHEME, text.long(meaning))


DECISION: Final = own("decision", "Decision of the policy")
ACTIONS: Final = {
    "accept": own("accept", "The policy accepts the answer"),
    "refer": own("refer", "Referred: a person has to look at this case"),
    "reject": own("reject", "Rejected: there is no answer for this scan"),
}
REASON: Final = own("reason", "Reason for the decision")
CONFIDENCE: Final = own("confidence", "Confidence in the answer")
DISTANCE: Final = own("distance", "Distance from the training data")
WARNING: Final = own("warning", "Warning about the scan")
THRESHOLD: Final = own("threshold", "Threshold from which a class counts as present")
IN_SET: Final = own("in-set", "In the prediction set")
SET_LEVEL: Final = own("set-level", "Share of cases whose prediction set holds the true class")
OVER: Final = own("spread-over", "Standard deviation drawn over")
QUESTION: Final = own("question", "Question")
LIMITS: Final = own("limits", "Limits of use")
SUMMARY: Final = own("summary", "Summary")
OUTCOME: Final = own("outcome", "Whether the model calls the finding asked about present")
CLASS: Final = own("class", "Class of the model")
TARGET: Final = own("target", "Further answer")
PROBABLE: Final = own("most-probable", "Most probable of them")
OVERRULED: Final = own("model-finding", record.OVERRULED)
VERDICT: Final = own("verdict", "Reader's verdict")
VERDICTS: Final = {
    "agree": own("agree", "Agrees with the answer"),
    "override": own("override", "Decides otherwise"),
    "cannot_tell": own("cannot-tell", "Cannot tell"),
}


def finding(name: str) -> Code:
    """The term for a class of a model: SNOMED CT's where its name is one, else one made of the name.

    The same name gives the same term in every report.
    """
    said = text.long(name) or "–"
    known = _KNOWN.get(_british(said.casefold()))
    return known if known is not None else own(_value(name), said)


def verdict(name: str) -> Code:
    """The term for a reader's verdict."""
    return VERDICTS.get(name) or own(_value(name), text.long(name) or "–")


def procedure(modality: str, part: str = "") -> Code:
    """What was reported on (CID 100; CID 646 of the head). part: Body Part Examined."""
    return (_HEAD_PROCEDURES if part in _HEAD else _PROCEDURES).get(modality, IMAGING)


def region(part: str) -> Code:
    """The region of the body for a Body Part Examined."""
    return _REGIONS.get(part, _STRUCTURE)


def item(code: Code) -> Dataset:
    """A coded term as an item of a sequence (PS3.3, 8)."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return made


def scheme() -> Dataset:
    """The declaration of the private scheme, an item of the Coding Scheme Identification Sequence."""
    made = Dataset()
    made.CodingSchemeDesignator = SCHEME
    made.CodingSchemeName = "Insula terms"
    made.CodingSchemeResponsibleOrganization = "Insula"
    return made


def _british(name: str) -> str:
    """A name in the spelling of the list above."""
    for american, british in (("hemorrhage", "haemorrhage"), ("ischemic", "ischaemic"), ("tumor", "tumour")):
        name = re.sub(rf"\b{american}\b", british, name)
    return re.sub(r"\bedema\b", "oedema", name)


def _value(name: str) -> str:
    """A code value of at most 16 characters: the name itself where it is plain and short, else made of its hash."""
    if _PLAIN.fullmatch(name):
        return f"c-{name}"
    return f"c-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:14]}"
