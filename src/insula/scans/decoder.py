"""The process in which a pool's worker decodes: what it is given, and what it is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from insula.scans.worker import main; main({}, {}, {})"
)
# what a decoder that a file has taken over must not find: keys, passwords, and the addresses that go with them
_SECRET = re.compile(r"^(INSULA|AWS|PG)|KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|DSN|DATABASE_URL", re.IGNORECASE)


def started(number: int, memory: int, ends: int, place: Path) -> subprocess.Popen[bytes]:
    """A worker's process. number, ends: descriptors that it gets; place: where it puts temporary files."""
    quiet = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        # -P and our own path: nothing that lies in the working folder is imported
        [sys.executable, "-P", "-c", _CODE.format(number, memory, ends), json.dumps(sys.path)],
        pass_fds=(number, ends),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # decoders print what they dislike, and headers name patients
        env={name: text for name, text in os.environ.items() if not _SECRET.search(name)}
        | quiet
        | {"TMPDIR": str(place)},
    )
