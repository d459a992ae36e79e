"""Pages of long lists: an opaque cursor that names the last row seen."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from insula.serve.faults import RequestError

T = TypeVar("T")
R = TypeVar("R", bound="Row")
MOST = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(Protocol):
    """What a list is paged by."""

    @property
    def seq(self) -> int:
        """Its place in the order in which rows came."""


class Page(BaseModel, Generic[T]):
    """One page, newest first. next: what `after` has to be for the following page; null on the last one."""

    items: list[T]
    next: str | None = Field(default=None, examples=["MTI4"])


Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of one page.")]
After = Annotated[str | None, Query(max_length=40, description="`next` of the page before.")]


def seen(after: str | None) -> int | None:
    """The row's number in a cursor. Raises RequestError for a text that is none of ours."""
    if after is None:
        return None
    try:
        number = int(_decoded(after))
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise _wrong(after) from error
    if not 0 < number < 1 << 62:
        raise _wrong(after)
    return number


def cursor(number: int) -> str:
    """The cursor of a row's number."""
    return _encoded(str(number))


def place(after: str | None) -> tuple[datetime, int] | None:
    """The instant and the row's number in a cursor of `placed`. Raises RequestError as `seen`."""
    if after is None:
        return None
    try:
        at, _, number = _decoded(after).partition(" ")
        if not 0 < int(number) < 1 << 62:
            raise ValueError(number)
        return _EPOCH + timedelta(microseconds=int(at)), int(number)
    except (ValueError, OverflowError, binascii.Error, UnicodeError) as error:
        raise _wrong(after) from error


def placed(at: datetime, number: int) -> str:
    """The cursor of a row in a list by an instant, and by their numbers where several have the same."""
    return _encoded(f"{(at - _EPOCH) // timedelta(microseconds=1)} {number}")


def cut(found: Sequence[R], limit: int) -> tuple[list[R], str]:
    """A page's rows out of one row more than it has, and the cursor of the next page, "" where this is the last."""
    return list(found[:limit]), cursor(found[limit - 1].seq) if len(found) > limit else ""


def following(numbers: list[int], limit: int) -> str | None:
    """The cursor after a page of these rows' numbers; none where the page was not full."""
    return cursor(numbers[-1]) if len(numbers) == limit else None


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(after: str) -> str:
    """Raises ValueError, of which that for another encoding is one, and binascii.Error."""
    return base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)).decode("ascii")


def _wrong(after: str) -> RequestError:
    return RequestError(400, "bad_cursor", f"'{after[:40]}' is no cursor; take `next` of a page, as it is.")
