"""Performing work items of a peer's worklist, as in IHE AI Workflow for Imaging (pull workflow).

Each is claimed, its input fetched, predicted as the rules say, the results delivered, and then completed with
references to them, or cancelled with the reason. How far each is lies in the records: a node that was killed goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import Any, Final

from pydicom.uid import generate_uid
from sqlalchemy import select

from insula.core.errors import InsulaError
from insula.core.log import get
from insula.serve.jobs import queue
from insula.serve.pacs import answered, file_meta, heads, outbox, pull, taken, task, ups_web
from insula.serve.pacs.asking import keep_asking
from insula.serve.pacs.dicom_json import texts
from insula.serve.pacs.orthanc_watch import has_room
from insula.serve.pacs.peer_errors import PartlyDoneError, PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.pseudonymise import Pseudonyms, pseudonyms_of
from insula.serve.pacs.query import is_uid
from insula.serve.pacs.received import NoRoomError, RefusedInstanceError, receive
from insula.serve.pacs.settings import PacsSettings, find_peer
from insula.serve.pacs.taken import Step, Taken
from insula.serve.pacs.task import Input, TaskError
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import now

EVERY: Final = 5.0  # seconds between two looks at the worklist
_AT_ONCE: Final = 4  # work items that the node is at
_MOST_LOST: Final = 2000  # work items that were another's, as many as a list has (`ups_web.search`)
_GIVEN_UP: Final = timedelta(hours=24)  # after which the input, or the answer, is not waited for any longer


def watch(service: Service, settings: PacsSettings, stop: threading.Event, every: float = EVERY) -> None:
    """Perform work items of the peer that `settings.workitems` names, until told to stop.

    A peer that does not answer is asked ever more seldom, see `keep_asking`.
    """
    if not settings.workitems:
        stop.wait()
        return
    performer = Performer(service, settings, stop)
    keep_asking(performer.round, stop, every, settings.workitems, "worklist does not answer as it should")


class Performer:
    """The node as the performer of one worklist."""

    def __init__(self, service: Service, settings: PacsSettings, stop: threading.Event) -> None:
        self._service, self._settings, self._stop = service, settings, stop
        self._peer: Peer = find_peer(settings, settings.workitems)
        self._pseudonyms: Pseudonyms = pseudonyms_of(settings)
        self._models = frozenset(rule.model for rule in self._pseudonyms.rules.rules if rule.model)
        self._lost: deque[str] = deque(maxlen=_MOST_LOST)

    def round(self) -> int:
        """Go on with what was claimed, and claim what waits; how many the node is at then.

        Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError where the worklist does not answer.
        """
        here = 0
        for one in self._mine():
            if self._stop.is_set():
                break
            here += self._go_on(one)
        if here < _AT_ONCE and not self._stop.is_set() and has_room(self._service, self._settings):
            here += self._claim(_AT_ONCE - here)
        return here

    def _mine(self) -> list[Taken]:
        with reading(self._service.records) as connection:
            return taken.all_of(connection, self._peer.name)

    def _claim(self, most: int) -> int:
        listed = ups_web.search(self._settings, self._peer)
        at = now()
        wanted = [
            uid
            for item in task.in_order(listed)
            if task.is_ours(item, self._settings.ae_title, self._models) and task.is_due(item, at)
            for uid in texts(item, "00080018")
            if is_uid(uid) and uid not in self._lost
        ]
        claimed = 0
        for uid in wanted:
            if claimed >= most or self._stop.is_set():
                break
            with writing(self._service.records) as connection:
                new = taken.add(connection, self._peer.name, uid, str(generate_uid()))
            if new is not None:
                claimed += self._go_on(new)
        return claimed

    def _go_on(self, one: Taken) -> bool:
        """Take a work item as far as it goes now; False where it has ended."""
        found: Taken | None = one
        while found is not None and not self._stop.is_set():
            before = found
            try:
                found = self._step(before)
            except TaskError as error:
                found = self._keep(before, "cancelling", reason=str(error))
            except (PeerAnswerError, PeerRefusedError) as error:
                return self._stuck(before, error)
            except InsulaError as error:  # of the node itself: another try would not mend it
                if before.step == "cancelling" or isinstance(error, PeerUnreachableError):
                    raise
                found = self._keep(before, "cancelling", reason=f"The node cannot do it ({error.code}).")
            if found is not None and found.step == before.step:
                break
        return found is not None

    def _stuck(self, one: Taken, error: InsulaError) -> bool:
        """The worklist does not do for this work item what it should: the others go on; whether it is tried again."""
        get("pacs").warning("work item is stuck", id=one.id, step=one.step, code=error.code)
        if now() - one.created_at <= _GIVEN_UP:
            return True
        self._leave(one)
        return False

    def _step(self, one: Taken) -> Taken | None:
        """One step: the same work item where it has to wait, with its next step, or None once it has ended."""
        return {
            "claiming": self._begin,
            "fetching": self._fetch,
            "waiting": self._wait,
            "sending": self._send,
            "completing": self._complete,
            "cancelling": self._cancel,
        }[one.step](one)

    def _begin(self, one: Taken) -> Taken | None:
        claimed = ups_web.claim(self._settings, self._peer, one.uid, one.transaction_uid)
        # a node that was killed just after claiming finds that the work item is its own
        if not claimed and not self._tell(one, 0, "claimed"):
            self._leave(one)
            return None
        with writing(self._service.records) as connection:
            self._service.tell(connection, f"pacs:{self._peer.name}", "workitem.claim", one.id)
            return taken.keep(connection, one, "fetching")

    def _fetch(self, one: Taken) -> Taken | None:
        item = ups_web.retrieve(self._settings, self._peer, one.uid)
        inputs = task.inputs_of(item, self._settings.peer, self._peer.name)
        wanted = task.destinations_of(item, self._settings.peer)
        studies: list[str] = []
        for each in inputs:
            name = self._fetched(one, each)
            if name is None:
                return one
            studies.append(name)
        if not self._tell(one, 20, "input fetched"):
            self._leave(one)
            return None
        return self._keep(one, "waiting", pacs_studies=list(dict.fromkeys(studies)), wanted=list(wanted))

    def _fetched(self, one: Taken, wanted: Input) -> str | None:
        """The received study that an input became; None where it cannot be had just now."""
        kept: list[object] = []
        missing: list[object] = []
        refused: list[InsulaError] = []

        def take(data: bytes) -> None:
            if not _is_wanted(data, wanted):
                return
            place, most = pull.source(peer), self._settings.max_instance_mb << 20
            try:
                kept.append(receive(self._service, data, place, most, self._pseudonyms))
            except RefusedInstanceError as error:
                if not isinstance(error, NoRoomError) and _counts(data, place, self._pseudonyms):
                    missing.append(error)
                raise

        for name in wanted.peers:
            peer = find_peer(self._settings, name)
            missing.clear()
            try:
                found = pull.fetch(self._settings, peer, wanted.study_uid, take, None, self._stop.is_set)
                if self._stop.is_set():
                    return None
                if found.failed:
                    raise PartlyDoneError("not all objects came")
                break
            except NoRoomError:
                self._patience(one, "The node had no room for the input.")
                return None
            except (PeerUnreachableError, PeerAnswerError, PeerRefusedError, PartlyDoneError) as error:
                refused.append(error)
        else:
            if any(isinstance(error, PeerRefusedError) and error.status == 404 for error in refused):
                raise TaskError("The input is not where the work item says that it is.")
            self._patience(one, "The input could not be fetched.")
            return None
        if missing:  # no answer of a part of what was to be looked at
            raise TaskError(
                f"{len(missing)} of the input's objects cannot be taken by the node; name the series that are meant."
            )
        if not kept:
            raise TaskError("None of the input's objects is one that the node takes.")
        studies = schema.pacs_studies.c
        names = self._pseudonyms.names(wanted.study_uid)
        with reading(self._service.records) as connection:
            row = connection.execute(select(studies.id).where(studies.study_uid.in_(names))).first()
        if row is None:
            raise TaskError("The input was erased here.")
        return str(row.id)

    def _wait(self, one: Taken) -> Taken | None:
        with reading(self._service.records) as connection:
            share, made = answered.predicted(connection, self._pseudonyms.rules, one.detail["pacs_studies"])
        if not self._tell(one, 20 + int(60 * share), "predicting" if share < 1 else "predicted"):
            self._leave(one)
            return None
        if not made:
            self._patience(one, "The input was not predicted in time.")
            return one
        place = self._place(one, made)
        keys = []
        with writing(self._service.records) as connection:
            for each in made:
                peers = list(dict.fromkeys([*one.detail["wanted"], place]))
                kinds = list(dict.fromkeys(("report", *each.objects)))  # of a rejected scan there is a report alone
                send = {"send": {"peers": peers, "objects": kinds}}
                for job in outbox.of_prediction(send, each.prediction, each.study_id, each.project_id):
                    queue.put(connection, job, now())
                    keys.append(str(job.unique_key))
            found = [each.prediction for each in made]
            return taken.keep(connection, one, "sending", sends=keys, predictions=found, place=place)

    def _place(self, one: Taken, made: list[answered.Predicted]) -> str:
        """The peer that results can be had from: of the work item's, else of the rules', else the worklist's own."""
        named = [*one.detail["wanted"], *(peer for each in made for peer in each.peers)]
        kinds = {name: self._settings.peer[name].kind for name in named if name in self._settings.peer}
        return next((name for name, kind in kinds.items() if kind in ("dicom", "web")), self._peer.name)

    def _send(self, one: Taken) -> Taken | None:
        with reading(self._service.records) as connection:
            sent = answered.sent(connection, one.detail["sends"])
        if not self._tell(one, 90, "delivering"):
            self._leave(one)
            return None
        if not sent:
            self._patience(one, "The results could not be delivered in time.")
            return one
        return self._keep(one, "completing")

    def _complete(self, one: Taken) -> Taken | None:
        with reading(self._service.records) as connection:
            made = answered.outputs(connection, self._settings, one.detail["predictions"])
        if not made:
            raise TaskError("The node made no object of this input.")
        item = ups_web.retrieve(self._settings, self._peer, one.uid)
        place = find_peer(self._settings, one.detail["place"])
        done = task.performed(item, self._settings.ae_title, one.created_at, now(), made, place)
        told = ups_web.update(self._settings, self._peer, one.uid, one.transaction_uid, done)
        ended = ups_web.end(self._settings, self._peer, one.uid, one.transaction_uid, "COMPLETED")
        self._end(one, "workitem.complete" if ended else "workitem.lost", objects=len(made), told=told)
        return None

    def _cancel(self, one: Taken) -> Taken | None:
        why = task.cancelled(str(one.detail["reason"]), now())
        ups_web.update(self._settings, self._peer, one.uid, one.transaction_uid, why)
        ended = ups_web.end(self._settings, self._peer, one.uid, one.transaction_uid, "CANCELED")
        self._end(one, "workitem.cancel" if ended else "workitem.lost", reason=str(one.detail["reason"])[:200])
        return None

    def _tell(self, one: Taken, percent: int, said: str) -> bool:
        """Write the progress into the work item; False where it is not ours any more."""
        return ups_web.update(self._settings, self._peer, one.uid, one.transaction_uid, task.progress(percent, said))

    def _patience(self, one: Taken, reason: str) -> None:
        if now() - one.created_at > _GIVEN_UP:
            raise TaskError(reason)

    def _keep(self, one: Taken, step: Step, **more: Any) -> Taken:
        with writing(self._service.records) as connection:
            return taken.keep(connection, one, step, **more)

    def _leave(self, one: Taken) -> None:
        """The worklist says that the work item is another's, or has ended: it is not claimed again."""
        self._lost.append(one.uid)
        self._end(one, "workitem.lost")

    def _end(self, one: Taken, action: str, **detail: Any) -> None:
        with writing(self._service.records) as connection:
            taken.drop(connection, one)
            self._service.tell(connection, f"pacs:{self._peer.name}", action, one.id, detail)


def _is_wanted(data: bytes, wanted: Input) -> bool:
    """Whether an object is of the series, or one of the objects, that a work item names."""
    if not wanted.series and not wanted.instances:
        return True
    head = _head(data)
    if head is None:  # `receive` says what is wrong
        return True
    return (not wanted.series or head.series_uid in wanted.series) and (
        not wanted.instances or head.instance_uid in wanted.instances
    )


def _counts(data: bytes, source: str, pseudonyms: Pseudonyms) -> bool:
    """Whether an object is of a series that a rule takes, or may be, so that its absence would change the answer."""
    head = _head(data)
    return head is None or pseudonyms.rules.first(head.facts(source)) is not None


def _head(data: bytes) -> heads.Head | None:
    try:
        syntax, start = file_meta.split(data)
        return heads.read(data[start : start + heads.MOST], syntax)
    except heads.HeadError:
        return None
