"""The listener as pynetdicom's callers meet it."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]
from sqlalchemy import select, text
from tests.serve.pacs.listening import bytes_of, calling, instances, node, slice_of
from tests.serve.pacs.made_certificate import Pair, certificate

from insula.core.errors import UsageError
from insula.serve.pacs import file_meta
from insula.serve.pacs.server.agreed import VERIFICATION
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.files import Files, Stored

CT = (CTImageStorage, [ExplicitVRLittleEndian])
ECHO = (VERIFICATION, [ImplicitVRLittleEndian])


@pytest.fixture
def port(service: Service) -> Iterator[int]:
    with node(service) as found:
        yield found


def stored(service: Service, number: int = 0) -> FileDataset:
    row = instances(service.records)[number]
    return pydicom.dcmread(io.BytesIO(service.files.get(row.sha256)))


def test_an_echo_is_answered(port: int) -> None:
    with calling(port, [ECHO]) as caller:
        assert caller.send_c_echo().Status == 0x0000


def test_an_object_is_on_the_disk_and_in_the_records_when_it_is_acknowledged(service: Service, port: int) -> None:
    with calling(port, [CT]) as caller:
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
        (row,) = instances(service.records)
        assert stored(service) == slice_of(1)
    assert (row.sop_instance_uid, row.sop_class_uid) == ("1.2.3.4.1.1", CTImageStorage)
    with reading(service.records) as connection:
        (study,) = connection.execute(select(schema.pacs_studies))
        (series,) = connection.execute(select(schema.pacs_series))
    assert (study.study_uid, study.source, study.state, study.description) == (
        "1.2.3.4",
        "SCANNER",
        "receiving",
        "Head",
    )
    assert (series.modality, series.body_part, series.description) == ("CT", "HEAD", "Axial")


def test_the_same_object_again_is_one(service: Service, port: int) -> None:
    with calling(port, [CT]) as caller:
        assert [caller.send_c_store(slice_of(1)).Status for _ in range(3)] == [0, 0, 0]
    assert len(instances(service.records)) == 1


def test_another_object_under_the_same_uid_is_refused(service: Service, port: int) -> None:
    with calling(port, [CT]) as caller:
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
        assert caller.send_c_store(slice_of(1, PatientName="Roe^Richard")).Status == 0x0111
        assert caller.send_c_store(slice_of(2)).Status == 0x0000
    assert len(instances(service.records)) == 2
    assert str(stored(service).PatientName) == "Doe^Jane"


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
    ids=lambda one: str(one.keyword),
)
def test_data_sets_are_kept_as_they_came(service: Service, port: int, syntax: UID) -> None:
    packed = syntax in (RLELossless, JPEG2000Lossless)
    sent = slice_of(1) if packed else slice_of(1, syntax=syntax)
    if packed:
        sent.compress(syntax, generate_instance_uid=False)
    with calling(port, [(CTImageStorage, [syntax])]) as caller:
        assert caller.send_c_store(sent).Status == 0x0000
    found = service.files.get(instances(service.records)[0].sha256)
    assert stored(service).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(stored(service).pixel_array, slice_of(1).pixel_array)
    whole = bytes_of(sent)
    assert file_of(found) == file_of(whole)


def file_of(data: bytes) -> bytes:
    """The data set of a file, as it is written."""
    return data[file_meta.split(data)[1] :]


def test_what_cannot_be_understood_is_refused_and_leaves_nothing(service: Service, port: int, tmp_path: Path) -> None:
    nameless = slice_of(2)
    del nameless.SeriesInstanceUID
    with calling(port, [CT]) as caller:
        assert caller.send_c_store(nameless).Status == 0xC000
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
    assert len(instances(service.records)) == 1
    assert [path.name for path in (tmp_path / "files").rglob("*") if path.is_file()] == [
        instances(service.records)[0].sha256
    ]


def test_an_object_of_another_class_than_announced_is_refused(service: Service, port: int) -> None:
    wrong = slice_of(1)
    with calling(port, [(MRImageStorage, [ExplicitVRLittleEndian])]) as caller:
        wrong.SOPClassUID = MRImageStorage
        assert caller.send_c_store(wrong).Status == 0x0000
        other = slice_of(2)
        other.SOPClassUID = MRImageStorage
        real = encode(slice_of(2), is_implicit_vr=False, is_little_endian=True)
        assert real is not None
        with pytest.MonkeyPatch.context() as patch:  # announces MR, and sends CT
            patch.setattr("pynetdicom.association.encode", lambda *_: real)
            assert caller.send_c_store(other).Status == 0xA900
    assert len(instances(service.records)) == 1


def test_an_object_that_is_too_long_is_refused_and_the_association_goes_on(service: Service, tmp_path: Path) -> None:
    long = slice_of(1, PixelData=bytes(3 << 19))
    with node(service, max_instance_mb=1) as port, calling(port, [CT]) as caller:
        assert caller.send_c_store(long).Status == 0xA700
        assert caller.send_c_store(slice_of(2)).Status == 0x0000
    assert len(instances(service.records)) == 1
    assert list((tmp_path / "files" / "unfinished").iterdir()) == []


def test_objects_are_refused_while_the_disk_is_full(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1 << 40]
    monkeypatch.setattr(type(service.files), "free", lambda _: free[0])
    with node(service, least_free_mb=100) as port, calling(port, [CT]) as caller:
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
        free[0] = 60 << 20  # enough for what is under way
        assert caller.send_c_store(slice_of(2)).Status == 0x0000
        free[0] = 40 << 20
        assert caller.send_c_store(slice_of(3)).Status == 0xA700
        until(lambda: not admitted(port))
        with calling(port, [CT]) as late:
            assert rejection(late) == (2, 3, 2)
    assert len(instances(service.records)) == 2


def test_objects_are_refused_while_the_records_cannot_be_written(service: Service, port: int) -> None:
    with calling(port, [CT]) as caller:
        with writing(service.records) as connection:
            connection.execute(text("ALTER TABLE pacs_instances RENAME TO hidden"))
        assert caller.send_c_store(slice_of(1)).Status == 0xA700
        with writing(service.records) as connection:
            connection.execute(text("ALTER TABLE hidden RENAME TO pacs_instances"))
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
    assert len(instances(service.records)) == 1


def rejection(caller: Association) -> tuple[int, int, int]:
    """Result, source and reason of an association that was rejected."""
    assert caller.is_rejected
    answer = caller.acceptor.primitive
    assert answer is not None
    return int(answer.result or 0), int(answer.result_source or 0), int(answer.diagnostic or 0)


def test_only_those_named_may_call_and_only_by_our_name(service: Service) -> None:
    with node(service, allow="SCANNER@10.0.0.7,OTHER@127.0.0.1,ANYWHERE") as port:
        for name, expected in (("STRANGER", (1, 1, 3)), ("SCANNER", (1, 1, 3)), ("OTHER", None), ("ANYWHERE", None)):
            with calling(port, [ECHO], name) as caller:
                assert caller.is_established if expected is None else rejection(caller) == expected
        with calling(port, [ECHO], "OTHER", "ELSEWHERE") as caller:
            assert rejection(caller) == (1, 1, 7)


def test_nobody_may_call_where_nobody_is_named(service: Service) -> None:
    with node(service, allow="") as port, calling(port, [ECHO]) as caller:
        assert rejection(caller) == (1, 1, 3)


def test_more_associations_than_may_be_are_turned_away_for_now(service: Service) -> None:
    with node(service, most_associations=2) as port:
        with calling(port, [ECHO]) as first, calling(port, [ECHO]), calling(port, [ECHO]) as third:
            assert first.is_established
            assert rejection(third) == (2, 3, 2)
        until(lambda: admitted(port))


def admitted(port: int) -> bool:
    with calling(port, [ECHO]) as caller:
        return bool(caller.is_established)


def turned_away(port: int) -> tuple[int, int, int] | None:
    with calling(port, [ECHO]) as caller:
        return rejection(caller) if caller.is_rejected else None


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not found():
        assert time.monotonic() < end


def test_one_address_that_says_nothing_keeps_out_nobody_else(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(9):
            silent = socket.create_connection(("127.0.0.1", port), 30, ("127.0.0.2", 0))
            last = stack.enter_context(silent)
        assert last.recv(1) == b"", "of one address eight are waited for"
        assert admitted(port)


def test_callers_are_turned_away_while_too_many_studies_wait(service: Service) -> None:
    with node(service, most_waiting=2) as port:
        with calling(port, [CT]) as caller:
            for study in ("1.2.3", "1.2.4"):
                assert caller.send_c_store(slice_of(1, study)).Status == 0x0000
        until(lambda: turned_away(port) == (2, 3, 1))  # a look at the records holds for a second
        with writing(service.records) as connection:
            connection.execute(schema.pacs_studies.update().values(state="unrouted"))
        until(lambda: admitted(port))


def test_a_question_for_what_the_node_does_not_do_is_answered_so(port: int) -> None:
    query = (PatientRootQueryRetrieveInformationModelFind, [ImplicitVRLittleEndian])
    with calling(port, [query, ECHO]) as caller:
        assert [one.abstract_syntax for one in caller.rejected_contexts] == [query[0]]
        assert caller.send_c_echo().Status == 0x0000


def test_with_tls_only_those_are_heard_who_show_a_certificate(service: Service, tmp_path: Path) -> None:
    ours, theirs, strange = (certificate(tmp_path, name) for name in ("ours", "theirs", "strange"))
    own: dict[str, Any] = {"tls_cert": ours.cert, "tls_key": ours.key, "tls_ca": theirs.cert}
    with node(service, **own) as port:
        with calling(port, [CT], tls_args=(context(ours, theirs), "localhost")) as caller:
            assert caller.send_c_store(slice_of(1, PixelData=bytes(1 << 20))).Status == 0x0000
        for shown in (None, strange):
            with calling(port, [CT], tls_args=(context(ours, shown), "localhost")) as caller:
                assert not caller.is_established
        with calling(port, [CT]) as caller:
            assert not caller.is_established
        with calling(port, [CT], tls_args=(context(ours, theirs), "localhost")) as caller:
            assert caller.send_c_store(slice_of(2)).Status == 0x0000
    assert len(instances(service.records)) == 2


def context(believed: Pair, shown: Pair | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(believed.cert))
    if shown is not None:
        made.load_cert_chain(shown.cert, shown.key)
    return made


def test_the_end_lets_what_is_under_way_finish(service: Service) -> None:
    entered, go = threading.Event(), threading.Event()
    put = type(service.files).settle

    def slow(self: Files, *rest: Any) -> None:
        entered.set()
        assert go.wait(30)
        put(self, *rest)

    statuses: list[int] = []
    listening = node(service)
    port = listening.__enter__()
    with calling(port, [CT]) as caller, calling(port, [ECHO]) as idle, pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(service.files), "settle", slow)
        sending = threading.Thread(target=lambda: statuses.append(caller.send_c_store(slice_of(1)).Status))
        sending.start()
        assert entered.wait(30)
        ending = threading.Thread(target=listening.__exit__, args=(None, None, None))
        ending.start()
        until(lambda: not idle.is_established)
        assert ending.is_alive()
        go.set()
        ending.join(30)
        sending.join(30)
    assert statuses == [0x0000]
    assert len(instances(service.records)) == 1


def test_a_port_that_is_taken_is_said(service: Service, port: int) -> None:
    with pytest.raises(UsageError, match="INSULA_PACS_PORT"), node(service, port=port):
        pass


def test_pseudonyms_without_a_key_are_refused(service: Service, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: a, project: p, pseudonymise: true}]")
    with pytest.raises(UsageError, match="INSULA_PACS_IDENTITY_KEY"), node(service, rules=rules):
        pass


def test_under_pseudonyms_nothing_of_the_patient_is_on_the_disk_at_any_time(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: a, project: p, pseudonymise: true}]")
    seen = []
    put = type(service.files).put

    def watched(self: Files, stream: io.BytesIO, most: int) -> Stored:
        seen.append(stream.getvalue())
        return put(self, stream, most)

    monkeypatch.setattr(type(service.files), "put", watched)
    monkeypatch.setattr(type(service.files), "begin", None)  # what comes in pieces would go to the disk as it comes
    with node(service, rules=rules, identity_key="k" * 40) as port, calling(port, [CT]) as caller:
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
        assert caller.send_c_store(slice_of(1)).Status == 0x0000
    assert len(seen) == 2
    assert not any(b"Doe" in one or b"1.2.3.4.1.1" in one for one in seen)
    (row,) = instances(service.records)
    assert row.sop_instance_uid.startswith("2.25.")
    assert row.identity is not None


def test_a_class_that_cannot_be_stored_under_pseudonyms_is_not_agreed_on(service: Service, tmp_path: Path) -> None:
    """A sender that leaves out what is not agreed on goes on with the rest; many end on an object that is refused."""
    rules = tmp_path / "rules.yaml"
    asked = [CT, (SecondaryCaptureImageStorage, CT[1]), (EncapsulatedPDFStorage, CT[1])]

    def agreed_on(text: str) -> set[str]:
        rules.write_text(text, encoding="utf-8")
        with node(service, rules=rules, identity_key="k" * 40) as port, calling(port, asked) as found:
            assert found.send_c_store(slice_of()).Status in (0x0000, 0x0111)
            return {str(one.abstract_syntax) for one in found.accepted_contexts}

    hidden = "rules: [{name: a, when: {modality: CT}, project: P, pseudonymise: true}"
    assert agreed_on(f"{hidden}]") == {CTImageStorage}
    assert len(agreed_on(f"{hidden}, {{name: rest, when: {{source: SCANNER}}, project: P}}]")) == 3
    assert agreed_on(f"{hidden}, {{name: rest, when: {{source: OTHER}}, project: P}}]") == {CTImageStorage}
