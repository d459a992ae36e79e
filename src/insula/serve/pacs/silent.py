"""Reading what others wrote without the warnings of pydicom, which quote values and so would name patients in logs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent() -> Iterator[None]:
    """No warning is shown while the block runs, of this thread or, for that time, of another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
