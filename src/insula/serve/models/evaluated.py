"""The figures of a model's evaluation, where one lies beside its bundle `NAME` as `NAME.report.json`."""

from __future__ import annotations

import json

from insula.bundle.types import Bundle
from insula.core.log import get
from insula.report.case.meaning import measured
from insula.report.case.record import Measured

_MOST_BYTES = 64 << 20


def figures_beside(bundle: Bundle) -> tuple[Measured, ...]:
    """Sensitivity, specificity and so on with their intervals, for the reports of cases; none where there is no file.

    The file is the `report.json` of `insula evaluate`. One of another bundle, or none that can be read, is passed over
    with a word in the log.
    """
    path = bundle.path.with_name(f"{bundle.path.name}.report.json")
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return ()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["model"]["bundle"] != bundle.id:
            get("serve").warning("evaluation of another bundle", bundle=bundle.id)
            return ()
        return measured(record)
    except (ValueError, KeyError, TypeError) as error:
        get("serve").warning("evaluation unreadable", bundle=bundle.id, kind=type(error).__name__)
        return ()
