"""A node whose disk fails at chosen calls while objects come by C-STORE: `python -m tests.faults.made_failing_node …`.

Each try lets one call on a file fail, or all from that one on, while one object is sent; then the disk is well again,
and the same object has to be taken, once.
"""

from __future__ import annotations

import errno
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from tests.faults.made_shim import failing
from tests.serve.pacs.listening import calling, instances, node, service_of, slice_of

from insula.serve.service import Service
from insula.serve.store import schema, sound
from insula.serve.store.connect import connect

CONTEXT = [(CTImageStorage, [ExplicitVRLittleEndian])]
NO_ROOM = range(0xA700, 0xA800)  # PS3.4, table B.2-1: refused, out of resources
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC)
Arm = Callable[[], AbstractContextManager[Any]]


def try_one(service: Service, port: int, number: int, arm: Arm) -> dict[str, Any]:
    """Send an object while the disk fails, and again when it does not; what became of it."""
    sent = slice_of(number, f"1.2.77.{number}")
    found = {"lost": 0, "doubled": 0, "leaked": 0, "failed": 0}

    def there() -> int:
        return sum(row.sop_instance_uid == sent.SOPInstanceUID for row in instances(service.records))

    with calling(port, CONTEXT) as association:
        with arm():
            status = association.send_c_store(sent).get("Status")
        kept = there()
        if status == 0:
            found["lost"] += kept < 1
        else:
            found["failed"] += status is None or status not in NO_ROOM
            found["leaked"] += kept
            found["failed"] += association.send_c_store(sent).get("Status") != 0  # the association goes on
    found["lost"] += there() < 1
    found["doubled"] += there() > 1
    return {**found, "status": status}


def unsound(service: Service, folder: Path) -> list[str]:
    """What is not sound of records and files, and what was left half done."""
    left = [str(path.name) for path in (folder / "files" / "unfinished").glob("*")]
    return [*sound.look(service.records, service.files).faults, *left]


def tries(folder: Path, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Tries, a line each."""
    g = random.Random(seed)
    records = connect(f"sqlite:///{folder}/insula.db")
    schema.metadata.create_all(records)
    service = service_of(records, folder)
    with node(service) as port:
        try_one(service, port, 0, partial(failing, folder, 0, 0, False))
        with failing(folder, 0, 0, False) as disk:
            try_one(service, port, 1, partial(failing, folder, 0, 0, False))
        calls = max(disk.seen, 4)
        for number in range(2, count + 2):
            nth, error, lasting = g.randint(1, calls), g.choice(ERRORS), g.random() < 0.4
            found = try_one(service, port, number, partial(failing, folder, nth, error, lasting))
            faults = unsound(service, folder) if number % 20 == 0 or number == count + 1 else []
            yield {**found, "nth": nth, "of": calls, "error": errno.errorcode[error], "unsound": faults}
    records.dispose()


if __name__ == "__main__":
    for line in tries(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
        sys.stdout.write(f"TRY {json.dumps(line)}\n")
        sys.stdout.flush()
