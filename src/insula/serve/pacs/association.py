"""An association that the node opens at a peer, with bounds on what the peer may send and on how long it may take.

pynetdicom's own socket waits without end for the rest of a message and keeps whatever comes; this one does neither.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ssl import SSLContext
from typing import Any, Final, cast

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.settings import PacsSettings
from insula.serve.pacs.tls import client_context

SECONDS: Final = 60.0  # to wait for a message, and for the whole of a protocol data unit
_TO_CONNECT: Final = 10.0
_TO_RELEASE: Final = 5.0  # for the answer to a release, when all else is done
_UNIT: Final = 1 << 18  # bytes of a protocol data unit, as we announce it
_SMALL: Final = 16 << 20  # bytes that a peer may send in one association that brings no objects
_PROPOSED: Final = 128  # presentation contexts of one association (PS3.8 9.3.2.2: odd numbers up to 255)

# what a peer sends names patients, and formatting it for a log that nobody reads costs a third of the time
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_REQUEST_IDENTIFIERS = False


_MEND: Final = {  # what helps where a response has this status (PS3.4 C.4.2.1.5, PS3.7 Annex C)
    0xA801: "let it know that AE title, and the address where it listens",
    0x0124: "let it know this node's AE title, and allow it that",
}


class BoundedSocket(AssociationSocket):
    """A connection that gives up on a peer which sends too much or too slowly.

    left: bytes that may still come; whoever has taken an object sets it anew. overrun: whether it gave up for that.
    reached: whether somebody listened.
    """

    left = _SMALL
    overrun = False
    reached = False

    def connect(self, primitive: Any) -> None:
        """Connect as before, and then wait for bytes no longer than SECONDS."""
        super().connect(primitive)
        if self.socket is not None:
            self.reached = True
            self.socket.settimeout(SECONDS)

    def hang_up(self) -> None:
        """End the connection at once, so that whoever waits for the peer waits no longer."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def _shutdown_socket(self) -> None:
        """Close the connection, also where the peer has closed it before."""
        ours = self.socket
        super()._shutdown_socket()
        if ours is not None:
            ours.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer where the connection ends. Raises OSError beyond a bound."""
        self.left -= nr_bytes
        if self.left < 0 or nr_bytes > _UNIT + 6:
            self.overrun = True
            raise OSError("the peer sends more than it may")
        found, done, until = bytearray(nr_bytes), 0, time.monotonic() + SECONDS
        view = memoryview(found)
        while done < nr_bytes:
            if self.socket is None or time.monotonic() > until:
                raise TimeoutError
            got = self.socket.recv_into(view[done:])
            if not got:
                break
            done += got
        view.release()
        del found[done:]
        return found


class _Entity(ApplicationEntity):
    """An application entity whose connections are bounded."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        made = BoundedSocket(assoc, address=address)
        made.tls_args = tls_args
        machine = assoc.dul.state_machine
        machine.do_action = _guarded(assoc, made, machine.do_action)  # type: ignore[method-assign,assignment]
        return made


def _guarded(association: Association, ours: BoundedSocket, act: Callable[[str], None]) -> Callable[[str], None]:
    """The state machine's actions, with an end for what pynetdicom leaves open.

    A message that cannot be read would end its thread, with the connection open and the caller waiting for minutes; an
    association that is being aborted would wait for the peer to close the connection.
    """

    def guarded(event: str) -> None:
        machine = association.dul.state_machine
        try:
            act(event)
            over = machine.current_state == "Sta13"  # PS3.8, table 9-5: nothing is left but to close the connection
        except Exception:  # noqa: BLE001 - whatever hostile bytes meet
            over = True
            ours.close()
            machine.current_state = "Sta1"
            association.dul.kill_dul()
            association.dul.to_user_queue.put(A_P_ABORT())
        if over:
            ours.hang_up()
            association.dimse.msg_queue.put((None, None))

    return guarded


class Opened:
    """An open association. peer: at whom; association: pynetdicom's; waits: seconds for each message."""

    def __init__(self, peer: Peer, association: Association, waits: float) -> None:
        self.peer = peer
        self.association = association
        self.waits = waits
        self.socket = cast(BoundedSocket, association.dul.socket)

    def allow(self, size: int) -> None:
        """Let the peer send so many bytes from now on."""
        self.socket.left = size

    def lost(self) -> Exception:
        """Why no answer came."""
        if self.socket.overrun:
            return PeerAnswerError(
                f"'{self.peer.name}' sent more than it may at a time; ask for less, or see what runs there."
            )
        return PeerUnreachableError(
            f"'{self.peer.name}' ended the association or gave no answer in {self.waits:.0f} s; see its log, and "
            "whether it knows this node's AE title."
        )


@contextmanager
def opened(
    settings: PacsSettings,
    peer: Peer,
    contexts: Sequence[PresentationContext],
    roles: Sequence[Any] = (),
    handlers: Sequence[EventHandlerType] = (),
    patience: float = 1.0,
) -> Iterator[Opened]:
    """An association at a peer with these presentation contexts, released at the end and aborted on an error.

    roles: SCP/SCU role selections. patience: how many times SECONDS to wait for each message. Raises
    PeerUnreachableError without a connection, PeerRefusedError where the peer rejects it or takes none of the contexts.
    """
    if len(contexts) > _PROPOSED:
        raise ValueError(f"{len(contexts)} presentation contexts do not fit into one association")
    entity = _Entity(settings.ae_title)
    entity.connection_timeout, entity.acse_timeout = _TO_CONNECT, SECONDS
    waits = patience * SECONDS
    entity.dimse_timeout = entity.network_timeout = waits
    tls = (client_context(settings), peer.host) if peer.encrypted else None
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            list(contexts),
            peer.ae_title,
            _UNIT,
            list(roles),
            tls_args=tls,
            evt_handlers=list(handlers),
        )
    except OSError as error:  # a name that stands for no address
        raise _unreachable(peer) from error
    ours = cast(BoundedSocket, association.dul.socket)
    if association.is_alive():
        threading.Thread(target=_freed, args=(association,), name="pacs-association", daemon=True).start()
    try:
        if not association.is_established:
            raise _refused(settings, peer, association, ours.reached)
        yield Opened(peer, association, waits)
    except BaseException:
        association.abort()
        raise
    else:
        association.acse_timeout = _TO_RELEASE
        association.release()
    finally:
        ours.close()


def _freed(association: Association) -> None:
    """Let nobody wait for pynetdicom's thread once it has ended: a peer that goes at the wrong moment ends it early.

    Its methods ask whether the association is open, and then wait without end until that thread pauses.
    """
    association.join()
    association._is_paused = True


def status_of(found: Opened, status: Any) -> int:
    """The status of a response. Raises PeerUnreachableError or PeerAnswerError where none came."""
    if "Status" not in status:
        raise found.lost()
    return int(status.Status)


def refused(peer: Peer, what: str, status: int, meaning: Callable[[int], str]) -> PeerRefusedError:
    """A response that says no."""
    said = meaning(status)
    told = f"'{peer.name}' refused {what} with status 0x{status:04X}{f' ({said})' if said else ''}"
    return PeerRefusedError(f"{told}; {_MEND.get(status, 'see its log')}.", status)


def _unreachable(peer: Peer) -> PeerUnreachableError:
    what = "no TLS connection" if peer.encrypted else "no connection"
    return PeerUnreachableError(
        f"There is {what} to '{peer.name}' at {peer.host}:{peer.port}; see whether it listens there"
        f"{', and whether INSULA_PACS_TLS_CA vouches for its certificate' if peer.encrypted else ''}."
    )


def _refused(settings: PacsSettings, peer: Peer, association: Association, reached: bool) -> Exception:
    if association.is_rejected:
        answer = association.acceptor.primitive
        why = (answer.result_str, answer.reason_str) if answer is not None else ()
        return PeerRefusedError(
            f"'{peer.name}' rejects the association{f' ({chr(32).join(why)})' if why else ''}; let it know the AE "
            f"title {settings.ae_title}, and see whether {peer.ae_title} is its own."
        )
    if association.rejected_contexts:
        return PeerRefusedError(f"'{peer.name}' offers nothing of what was asked for; see what it is set up to do.")
    if reached:
        believed = ", that it believes this node's certificate" if peer.encrypted else ""
        return PeerUnreachableError(
            f"Something listens at {peer.host}:{peer.port}, and does not answer as DICOM does; see whether that is the "
            f"port of the DICOM of '{peer.name}', not of its web server, {'with' if peer.encrypted else 'without'} TLS"
            f"{believed}, and that it knows the AE title {settings.ae_title}."
        )
    return _unreachable(peer)
