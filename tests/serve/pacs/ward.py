"""A worklist that is a service of its own, an archive, and a node that performs what the worklist says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from tests.client.live import Live, live
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import code, study, values, with_rules, workitem
from tests.serve.pacs.archive import Archive, archive

from insula.serve.jobs.worker import work
from insula.serve.pacs import send, take, whole
from insula.serve.pacs.identity import seal_of
from insula.serve.pacs.performer import Performer
from insula.serve.pacs.rules import read_rules
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.store import schema
from insula.serve.store.connect import reading
from insula.serve.work import handlers

IDENTITY = "i" * 40


@dataclass
class Ward:
    """A worklist, an archive, and a node that performs what the worklist says."""

    manager: Live
    archive: Archive
    node: Made
    settings: PacsSettings

    def order(self, uid: str, **changes: Any) -> str:
        """A work item about a study, for the node; its UID."""
        place = {"00081190": {"vr": "UR", "Value": [f"{self.archive.url}/studies/{uid}"]}}
        given = {
            "0020000D": {"vr": "UI", "Value": [uid]},
            "0040E020": {"vr": "CS", "Value": ["DICOM"]},
            "0040E025": {"vr": "SQ", "Value": [place]},
        }
        changes = {
            "t00404021": {"vr": "SQ", "Value": [given]},
            "t00404025": {"vr": "SQ", "Value": [code("INSULA", "99SITE", "The node")]},
            **changes,
        }
        name = str(generate_uid())
        answer = self.manager.made.client("reviewer").post(
            f"/dicom-web/workitems?workitem={name}", json=[workitem(**changes)]
        )
        assert answer.status_code == 201, answer.text
        return name

    def seen(self, name: str) -> dict[str, Any]:
        """The work item as its worklist shows it."""
        (item,) = self.manager.made.client("reader").get(f"/dicom-web/workitems/{name}").json()
        found: dict[str, Any] = item
        return found

    def state(self, name: str) -> str:
        """Its state."""
        found: str = values(self.seen(name), "00741000")[0]
        return found

    def reason(self, name: str) -> str:
        """Why it was cancelled."""
        assert self.state(name) == "CANCELED"
        found: str = values(values(self.seen(name), "00741002")[0], "00741238")[0]
        return found

    def performer(self) -> Performer:
        """The node's performer, as a node that starts anew has it."""
        return Performer(self.node.service, self.settings, threading.Event())

    def round(self) -> int:
        """One look at the worklist."""
        return self.performer().round()

    def work(self) -> None:
        """Let whole studies be taken, predicted and sent."""
        rules, service = read_rules(self.settings.rules), self.node.service
        seal = seal_of(self.settings)
        whole.round_of(service, rules, timedelta(), schema.now() - timedelta(hours=1), seal=seal)
        done = {
            take.KIND: take.handler(service, self.settings),
            **handlers(service),
            send.KIND: send.handler(service, self.settings),
        }
        work(service.records, done, "node", threading.Event(), until_idle=True)

    def left(self) -> int:
        """How many work items the node is at."""
        with reading(self.node.service.records) as connection:
            return len(connection.execute(select(schema.workitems_taken.c.id)).all())


RULES = """
rules:
  - {name: heads, when: {modality: CT}, project: Inside, model: tiny-ct, objects: [report]}
"""


@contextmanager
def ward(tmp_path: Path, rules: str = RULES) -> Iterator[Ward]:
    (tmp_path / "manager").mkdir()
    (tmp_path / "manager" / "rules.yaml").write_text("rules: [{name: reports, when: {modality: SR}, project: Inside}]")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("INSULA_PACS_RULES", str(tmp_path / "manager" / "rules.yaml"))
        kept, manager = stack.enter_context(archive()), stack.enter_context(live(tmp_path / "manager"))
        patch.setenv("INSULA_PACS_PEERS", f"manager={manager.address}/dicom-web archive={kept.url}")
        patch.setenv("INSULA_PACS_LOGIN_MANAGER", manager.key("reviewer"))
        patch.setenv("INSULA_PACS_IDENTITY_KEY", IDENTITY)
        patch.setenv("INSULA_PACS_WORKITEMS", "manager")
        patch.setenv("INSULA_PACS_LEAST_FREE_MB", "0")
        node = tmp_path / "node"
        node.mkdir()
        with with_rules(node, f"sqlite:///{node}/insula.db", rules) as made:
            patch.setenv("INSULA_PACS_RULES", str(node / "rules.yaml"))
            yield Ward(manager, kept, made, read_pacs_settings())


def sent_in(kept: Archive, count: int = 2) -> str:
    """A study that the archive has; its UID."""
    uid = str(generate_uid())
    for number in range(1, count + 1):
        kept.add(study(uid=uid, number=number))
    return uid


def output(seen: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = values(values(seen, "00741216")[0], "00404033")
    return found
