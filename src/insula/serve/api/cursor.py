"""Pages of long lists: an opaque cursor that names the last row seen."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from insula.serve.faults import RequestError

T = TypeVar("T")
R = TypeVar("R", bound="Row")
MOST = 200


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
    wrong = RequestError(400, "bad_cursor", f"'{after[:40]}' is no cursor; take `next` of a page, as it is.")
    try:
        number = int(base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)).decode("ascii"))
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise wrong from error
    if not 0 < number < 1 << 62:
        raise wrong
    return number


def cursor(number: int) -> str:
    """The cursor of a row's number."""
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def cut(found: Sequence[R], limit: int) -> tuple[list[R], str]:
    """A page's rows out of one row more than it has, and the cursor of the next page, "" where this is the last."""
    return list(found[:limit]), cursor(found[limit - 1].seq) if len(found) > limit else ""


def following(numbers: list[int], limit: int) -> str | None:
    """The cursor after a page of these rows' numbers; none where the page was not full."""
    return cursor(numbers[-1]) if len(numbers) == limit else None
