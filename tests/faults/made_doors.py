"""The ways in which a file gets into Insula, and how much memory the processes behind them take meanwhile."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.filereader import read_file_meta_info
from tests.serve.api.made import Made
from tests.serve.client import dicom
from tests.serve.dicomweb.made import RULES, message, with_rules
from tests.serve.pacs import listening
from tests.serve.pacs.made_studies import Quiet

from insula.cohort.deidentify import one
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.one import Policy
from insula.serve.pacs.settings import read_pacs_settings
from insula.serve.store import schema

STUDIES = "/api/v1/studies"
REFUSED = (400, 413, 415, 422)
_FRESH = 160 << 20  # bytes of a decoding process that has done nothing yet
_PART = 16_000


@dataclass(frozen=True, eq=False)
class Doors:
    """A service with records and the node's parts over them, in this process."""

    made: Made
    node: Quiet

    def upload(self, path: Path) -> str:
        """As a study of the records; the code of the refusal, or "taken"."""
        form = {"project": self.made.inside, "patient": "B-1"}
        answer = self.made.client("reader").post(STUDIES, data=form, files=[("files", (path.name, path.read_bytes()))])
        return _told(answer)

    def upload_in_zip(self, path: Path) -> str:
        """The same within a zip file, beside a good slice."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("good.dcm", dicom())
            packed.writestr(path.name, path.read_bytes())
        form = {"project": self.made.inside, "patient": "B-2"}
        answer = self.made.client("reader").post(STUDIES, data=form, files=[("files", ("a.zip", stream.getvalue()))])
        return _told(answer)

    def predict(self, path: Path) -> str:
        """To the plain endpoint."""
        sent = [("file", (path.name, path.read_bytes()))]
        return _told(self.made.client("reader").post("/predict", files=sent))

    def stow(self, path: Path) -> str:
        """By STOW-RS, and taken by the node once it is quiet."""
        answer = self.made.client("reader").post("/dicom-web/studies", **message([path.read_bytes()]))
        assert answer.status_code in (200, 202, 409, *REFUSED), (answer.status_code, answer.text[:200])
        return self._worked() if answer.status_code in (200, 202) else "refused"

    def store(self, path: Path) -> str:
        """By C-STORE, as bytes that no library looks at, and taken by the node once it is quiet."""
        settings = self.node.settings
        with listening.node(self.made.service, rules=settings.rules) as port:
            status = send(port, path)
        return self._worked() if status == 0 else f"0x{status:04X}"

    def deidentify(self, path: Path) -> str:
        """By the cleaning of `insula deidentify`, which quarantines what it cannot clean."""
        return one.process(path, Key(b"k" * 32, lasting=True), Policy(frozenset(), "keep", None)).status

    def sound(self) -> bool:
        """Whether the service lives, and takes a good study."""
        form = {"project": self.made.inside, "patient": "GOOD"}
        client = self.made.client("reader")
        sent = [("files", (f"{n}.dcm", dicom(number=n, patient="GOOD"))) for n in (1, 2)]
        good = client.post(STUDIES, data=form, files=sent)
        return client.get("/health").status_code == 200 and good.status_code == 201

    def _worked(self) -> str:
        self.node.quiet()
        self.node.worked()
        self.node.look()
        row = self.node.rows(schema.pacs_studies)[-1]
        return f"{row.state}: {(row.error or {}).get('code', '')}"


@contextmanager
def doors(folder: Path) -> Iterator[Doors]:
    """A service over a tiny bundle, with rules for what comes in."""
    with with_rules(folder, f"sqlite:///{folder}/insula.db", RULES) as made:
        yield Doors(made, Quiet(made, read_pacs_settings(rules=folder / "rules.yaml")))


def send(port: int, path: Path) -> int:
    """The status of a C-STORE of a file's data set, sent as it is."""
    meta, raw = read_file_meta_info(path), path.read_bytes()
    start = 144 + int.from_bytes(raw[140:144], "little")
    names = {
        "x0002": str(meta.MediaStorageSOPClassUID).encode(),
        "x1000": str(meta.MediaStorageSOPInstanceUID).encode(),
    }
    context = listening.context(1, names["x0002"], str(meta.TransferSyntaxUID).encode())
    with listening.Raw(port).opened(listening.request(contexts=context)) as line:
        command = listening.command(0x0001, data=True, x0700=b"\0\0", **names)
        line.send(listening.unit(4, listening.part(1, command, command=True)))
        data = raw[start:]
        for place in range(0, len(data), _PART):
            last = place + _PART >= len(data)
            line.send(listening.unit(4, listening.part(1, data[place : place + _PART], command=False, last=last)))
        kind, body = line.unit()
        assert kind == 4, f"the node said {kind} instead of an answer"
        return listening.status(body)


def growth(work: Callable[[], Any]) -> tuple[Any, int]:
    """What some work gives, and by how many bytes this process or one below it grew over it at the most."""
    before = {}
    for pid in _family():
        _clear(pid)
        before[pid] = _bytes(pid, "VmRSS")
    found = work()
    return found, max(_bytes(pid, "VmHWM") - before.get(pid, _FRESH) for pid in _family())


def _family() -> list[int]:
    """This process and those that it started."""
    below: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended
            below |= {int(pid) for pid in (task / "children").read_text().split()}
    return [os.getpid(), *sorted(below)]


def _clear(pid: int) -> None:
    """Forget the largest size that a process had (proc(5), clear_refs)."""
    with suppress(OSError):  # it has ended
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _bytes(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), 0)


def _told(answer: Any) -> str:
    """The code of a refusal, which names no folder of ours; "taken"."""
    if answer.status_code in (200, 201):
        return "taken"
    assert answer.status_code in REFUSED, (answer.status_code, answer.text[:300])
    assert "/tmp" not in answer.text, answer.text[:300]
    assert "insula-" not in answer.text, answer.text[:300]
    said = answer.json()
    return str(said.get("code") or said["error"]["code"])
