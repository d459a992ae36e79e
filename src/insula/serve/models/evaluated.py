"""The figures of a model's evaluation, where one lies beside its bundle `NAME` as `NAME.report.json`."""

from __future__ import annotations

from insula.bundle.types import Bundle
from insula.core.log import get
from insula.report.case.meaning import measured
from insula.report.case.record import Measured
from insula.serve.models.beside import beside


def figures_beside(bundle: Bundle) -> tuple[Measured, ...]:
    """Sensitivity, specificity and so on with their intervals, for the reports of cases; none where there is no file.

    The file is the `report.json` of `insula evaluate`. One of another bundle, or none that can be read, is passed over
    with a word in the log.
    """
    found = beside(bundle.path, bundle.id, "report")
    if found.record is None:
        if found.reason:
            get("serve").warning("evaluation refused", bundle=bundle.id, reason=found.reason)
        return ()
    try:
        return measured(found.record)
    except (ValueError, KeyError, TypeError) as error:
        get("serve").warning("evaluation unreadable", bundle=bundle.id, kind=type(error).__name__)
        return ()
