"""The report of a prediction to a FHIR server: one DiagnosticReport (R4), made or renewed by its own identifier."""

from __future__ import annotations

import json
from typing import Any, Final

from insula.report.case.fhir import Resource
from insula.report.case.hl7 import Order
from insula.serve.faults import RequestError
from insula.serve.pacs.peer_errors import PeerRefusedError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.web import body, calling, checked, sent

_MEDIA: Final = "application/fhir+json"
_FOR_GOOD: Final = (400, 405, 410, 412, 413, 415, 422, 501)  # answers that another try of the same does not change


def deliver(settings: PacsSettings, peer: Peer, resource: Resource, order: Order) -> None:
    """Send a resource of `case_fhir`, tied to its study and order. What the server has of it already is renewed.

    A conditional update (FHIR R4, RESTful API, 3.1.0.4.3) makes a second try the same as the first. Raises
    PeerUnreachableError, PeerAnswerError and PeerRefusedError, which another try may mend, and RequestError 422 where
    the server refuses the resource.
    """
    (identifier,) = resource["identifier"]
    asked = {"identifier": f"{identifier['system']}|{identifier['value']}"}
    headers = {"Content-Type": _MEDIA, "Accept": _MEDIA, "Prefer": "return=minimal"}
    content = json.dumps(tied(resource, order), ensure_ascii=False).encode()
    with (
        calling(settings, peer) as client,
        sent(client, peer, "PUT", "/DiagnosticReport", params=asked, headers=headers, content=content) as answer,
    ):
        try:
            checked(peer, answer, "a DiagnosticReport")
        except PeerRefusedError as error:
            if error.status in _FOR_GOOD:
                raise RequestError(422, "resource_refused", str(error)) from error
            raise
        body(peer, answer)


def tied(resource: Resource, order: Order) -> Resource:
    """The resource with references by identifier to the imaging study and the order that it answers."""
    found: dict[str, Any] = dict(resource)
    if order.study_uid:
        study = {"system": "urn:dicom:uid", "value": f"urn:oid:{order.study_uid}"}
        found["imagingStudy"] = [{"type": "ImagingStudy", "identifier": study}]
    if order.accession:
        kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
        found["basedOn"] = [{"type": "ServiceRequest", "identifier": {"type": kind, "value": order.accession}}]
    return found
