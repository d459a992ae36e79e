"""`insula docs`: the documents that came with this Insula, on the terminal; every error names a place in them."""

from __future__ import annotations

import difflib

import click

from insula.cli.output import emit, json_option
from insula.core.errors import UsageError
from insula.core.headings import headings, part


@click.command()
@click.argument("place", required=False, metavar="[PAGE[#PART]]")
@json_option
def docs(place: str | None, as_json: bool) -> None:
    """Print a page of the documents, or one part of it, as errors#cohort; without a PAGE, say which there are.

    They are those of this version, and nothing is fetched. The service shows them in a browser, at /documents.
    """
    from insula.serve.web.library import SHELVES, is_picture, results, shelf

    known = {name: file for name, file in shelf().items() if not is_picture(name)}
    if place is None:
        shelved = {reader: [name for name in names if name in known] for reader, names in SHELVES.items()}
        shelved |= {"Results": list(results())}
        there = {name for names in shelved.values() for name in names}
        shelved |= {"Others": sorted(known.keys() - there)} if known.keys() - there else {}
        lines = [f"{reader}: {', '.join(names)}" for reader, names in shelved.items()]
        emit(as_json, {"pages": sorted(known)}, "\n".join([*lines, "Read one: insula docs PAGE"]))
        return
    page, _, anchor = place.partition("#")
    name = page.removeprefix("/").removeprefix("documents/").removeprefix("docs/").removesuffix(".md").lower()
    if name not in known:
        close = difflib.get_close_matches(name, known, 3, 0.5)
        meant = f"is one of these meant: {', '.join(close)}?" if close else "insula docs lists the pages."
        raise UsageError(f"There is no page '{page[:80]}'; {meant}")
    text = known[name].read_text(encoding="utf-8").strip()
    if anchor:
        text = part(text, anchor) or _no_part(text, name, anchor)
    emit(as_json, {"page": name, "part": anchor, "text": text}, text)


def _no_part(text: str, page: str, anchor: str) -> str:
    every = [one.anchor for one in headings(text)]
    close = difflib.get_close_matches(anchor, every, 5, 0.4) or every[:20]
    raise UsageError(f"The page '{page}' has no part '{anchor[:80]}'; it has, among others: {', '.join(close)}.")
