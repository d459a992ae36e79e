"""To be imported into a zygote with the preloaded library: a command's disk fails as its environment says.

DISK_FOLDER, DISK_NTH, DISK_ERROR, DISK_LASTING as `made_shim.failing`; DISK_TOLD: a file that gets how many calls there
were, and how many failed, of the command's own process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.faults.made_shim import failing

from insula.cli import main

_run = main.run


def _armed() -> None:
    told: Any = os.environ
    if "DISK_FOLDER" not in told:
        _run()
        return
    place, lasting = Path(told["DISK_FOLDER"]), told["DISK_LASTING"] == "1"
    code: Any = 0
    with failing(place, int(told["DISK_NTH"]), int(told["DISK_ERROR"]), lasting) as disk:
        try:
            _run()
        except SystemExit as ending:
            code = ending.code
    Path(told["DISK_TOLD"]).write_text(json.dumps([disk.seen, disk.failed]))
    sys.exit(code)


main.run = _armed
