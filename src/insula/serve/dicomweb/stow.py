"""STOW-RS (PS3.18, section 10.5): objects that come in by HTTP, kept and routed as those that come by C-STORE."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.dicomweb.media import DICOM, DicomJson, element, require_json
from insula.serve.dicomweb.multipart import Spool, parts, spooled
from insula.serve.dicomweb.payload import is_uid
from insula.serve.dicomweb.places import QUIET, Uid
from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading

NOT_AUTHORISED: Final = 0x0124  # PS3.7, section C.4.10
_UNREADABLE: Final = 0xC000
_ANOTHER_STUDY: Final = 0xA901  # of those that PS3.18, table I.2-2 leaves for data that does not go with the request
_RETRY: Final = {"Retry-After": "30"}


@dataclass(frozen=True)
class _Told:
    """One object in the answer. reason: why it was refused, 0 for one that is kept."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0

    def item(self) -> dict[str, Any]:
        """As an item of one of the answer's two sequences (PS3.18, table I.1-1)."""
        found = {
            "00081150": element("UI", *filter(None, [self.sop_class_uid])),
            "00081155": element("UI", *filter(None, [self.sop_instance_uid])),
        }
        return found | ({"00081197": element("US", self.reason)} if self.reason else {"00081190": element("UR")})


def routes(service: Service) -> APIRouter:
    """`POST /dicom-web/studies`."""
    made = Routes(service, "/dicom-web", "dicomweb")
    intake = _Intake(service)

    @made.post("/studies", "study.write", **QUIET)
    async def store(request: Request, acting: Acting) -> Response:
        """STOW-RS: objects of any studies; they are kept, and predicted as the rules say."""
        return await _store(intake, request, acting, "")

    @made.post("/studies/{study}", "study.write", **QUIET)
    async def store_in(request: Request, acting: Acting, study: Uid) -> Response:
        """STOW-RS: objects of one study."""
        return await _store(intake, request, acting, study)

    return made.router


async def _store(intake: _Intake, request: Request, acting: Act, study: str) -> Response:
    require_json(request)
    await run_in_threadpool(intake.check)
    told = []
    try:
        async with aclosing(parts(request, DICOM, await run_in_threadpool(intake.spool))) as sent:
            async for part in sent:
                if part.kind not in ("", DICOM):
                    raise RequestError(415, "unsupported_media", f"A part is of another kind; each is {DICOM}.")
                data = await run_in_threadpool(part.content.read)
                part.content.close()
                told.append(await run_in_threadpool(intake.take, data, acting.caller, study))
                del data
    except RequestError:  # what came before the fault is kept, and told
        if told:
            await run_in_threadpool(_answer, acting, told)
        raise
    return await run_in_threadpool(_answer, acting, told)


def _answer(acting: Act, told: list[_Told]) -> Response:
    """The answer, once the trail has been told."""
    kept = [one for one in told if not one.reason]
    refused = [one for one in told if one.reason]
    if not told:
        raise RequestError(400, "no_object", "The message has no part; send each object as one.")
    with acting.write("dicomweb.store", kept=len(kept), refused=len(refused)):
        pass
    answer = {"00081190": element("UR")}  # what comes in is not given out again here
    if kept:
        answer["00081199"] = element("SQ", *(one.item() for one in kept))
    if refused:
        answer["00081198"] = element("SQ", *(one.item() for one in refused))
    return DicomJson(answer, 409 if not kept else 202 if refused else 200)


class _Intake:
    """Takes objects, each by itself: one that is refused holds up no other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings = service.pacs

    @cached_property
    def _pseudonyms(self) -> Any:
        from insula.serve.pacs.identity import seal_of
        from insula.serve.pacs.pseudonymise import Pseudonyms
        from insula.serve.pacs.rules import read_rules

        return Pseudonyms(read_rules(self._settings.rules), seal_of(self._settings))

    def check(self) -> None:
        """Raise RequestError 503 where objects cannot be taken now; deny what nobody has made rules for."""
        from insula.serve.pacs.orthanc_watch import has_room

        if self._settings.rules is None:
            raise RequestError(
                503,
                "no_rules",
                "This service has no rules for what comes in; set INSULA_PACS_RULES as the node has it.",
            )
        if not has_room(self._service, self._settings):
            raise RequestError(503, "busy", "There is no room for more studies now; try again later.", _RETRY)

    def spool(self) -> Spool:
        """What makes the place of a part until it is known whether its patient may be on the disk."""
        if not self._pseudonyms.rules.pseudonymise:
            return spooled
        from insula.serve.pacs.arrival import InMemory
        from insula.serve.pacs.entered import NoRoomError

        longest = self._settings.max_instance_mb << 20

        class Counted(InMemory):
            def write(self, block: Any, /) -> int:
                try:
                    return super().write(block)
                except NoRoomError as error:
                    raise RequestError(503, "busy", str(error), _RETRY) from error

        return lambda: Counted(longest)

    def take(self, data: bytes, caller: Caller, study: str) -> _Told:
        """Keep one object, or say why not."""
        from insula.serve.pacs.received import RefusedInstanceError, receive

        head = _head(data)
        if head is None:
            named = _named(data)
            return _Told(named.get("SOPClassUID", ""), named.get("SOPInstanceUID", ""), _UNREADABLE)
        told = _Told(head.class_uid, head.instance_uid)
        if study and head.study_uid != study:
            return replace(told, reason=_ANOTHER_STUDY)
        if not self._may(head.facts(caller.name), caller, head.study_uid):
            return replace(told, reason=NOT_AUTHORISED)
        try:
            receive(self._service, data, caller.name, self._settings.max_instance_mb << 20, self._pseudonyms)
        except RefusedInstanceError as error:
            return replace(told, reason=error.status)
        return told

    def _may(self, facts: Any, caller: Caller, study: str) -> bool:
        """Whether the study is of one of the caller's projects, or will be by the rules."""
        rule = self._pseudonyms.rules.first(facts)
        studies = schema.pacs_studies.c
        with reading(self._service.records) as connection:
            these = select(studies.id, studies.project_id).where(studies.study_uid.in_(self._pseudonyms.names(study)))
            rows = connection.execute(these).all()
            mine = _names_of(connection, caller)
            owners = {row.project_id for row in rows if row.project_id is not None}
            theirs = any(self._is_of_others(connection, row.id, caller, mine) for row in rows if row.project_id is None)
        return owners <= caller.projects and not theirs and (rule is None or rule.project in mine)

    def _is_of_others(self, connection: Connection, pacs_study: str, caller: Caller, mine: set[str]) -> bool:
        """Whether anything of a study that has no project yet came from others and goes elsewhere, or nowhere yet."""
        from insula.serve.pacs.entered import LONGEST_SOURCE
        from insula.serve.pacs.identity import IdentityError
        from insula.serve.pacs.series import facts_of

        try:
            came = facts_of(connection, pacs_study, self._pseudonyms.seal)
        except IdentityError:  # nobody here can tell
            return True
        others = [self._pseudonyms.rules.first(one) for one in came if one.source != caller.name[:LONGEST_SOURCE]]
        return any(rule is None or rule.project not in mine for rule in others)


def _names_of(connection: Connection, caller: Caller) -> set[str]:
    projects = schema.projects.c
    return set(connection.scalars(select(projects.name).where(projects.id.in_(sorted(caller.projects)))))


def _head(data: bytes) -> Any:
    """What `receive` files an object by, None for what it will not take.

    By the same reader: of an object that says two things of its study another one might believe the other.
    """
    from insula.serve.pacs import file_meta, heads

    try:
        syntax, start = file_meta.split(data)
        return heads.read(data[start : start + heads.MOST], syntax)
    except heads.HeadError:
        return None


def _named(data: bytes) -> dict[str, str]:
    """The UIDs that an object which is not taken gives itself, as far as they can be read and are UIDs."""
    from insula.scans import attributes, header

    try:
        dataset = header.load(Path("object"), pixels=False, data=data)
        found = {name: attributes.text(dataset, name) for name in ("SOPClassUID", "SOPInstanceUID")}
    except Exception:  # noqa: BLE001 - pydicom raises many kinds on damaged values
        return {}
    return {name: text for name, text in found.items() if is_uid(text)}
