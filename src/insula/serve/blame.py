"""Which of the files that came with a request an error is about, so that its sender need not look for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import UploadFile

from insula.core.errors import InsulaError
from insula.serve.faults import RequestError, fault, status_of
from insula.serve.upload import shown_name

# our names on disk, of a file and of one that was taken out of it; and the word for an empty one, which has none
_OURS: Final = re.compile(r"(?:part-\d+/)?upload-0*(?P<file>[1-9]\d*)(?:-0*(?P<member>[1-9]\d*))?")
_EMPTY: Final = re.compile(r"\bFile (?P<file>[1-9]\d*)(?= is empty)")
_LONGEST: Final = 60


def of_file(error: InsulaError, role: str, sent: Sequence[UploadFile]) -> InsulaError:
    """The same error with the name that its file was sent under, and with the file's place for programs.

    The place goes into the error's `more`: `role`, and `file`, counted from 1 in the order of that role's files. What
    names no file of the request stays as it is.
    """
    text = str(error)
    found = _OURS.search(text) or _EMPTY.search(text)
    if found is None or int(found["file"]) > len(sent):
        return error
    names = [shown_name(one)[:_LONGEST] or f"file {number}" for number, one in enumerate(sent, start=1)]

    def named(match: re.Match[str]) -> str:
        number, member = int(match["file"]), match.groupdict().get("member")
        name = names[number - 1] if number <= len(names) else match[0]
        return f"{name}, its file {member}" if member else name

    text = _OURS.sub(named, _EMPTY.sub(lambda match: f"'{named(match)}'", text))
    headers = error.headers if isinstance(error, RequestError) else {}
    more = {"role": role, "file": int(found["file"])}
    return RequestError(status_of(error), fault(error)["code"], text, headers, more)
