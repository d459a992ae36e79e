"""Writes the tables of docs/api.md: every route of the service, what it needs, and which roles have that."""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from fastapi.routing import APIRoute
from pydantic import SecretStr

from insula.serve.api.guard import OPEN, SELF, is_quiet, permission_of
from insula.serve.app import create_app
from insula.serve.people.roles import GRANTED, ROLES
from insula.serve.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
START, END = "<!-- routes: made by scripts/routes_table.py -->", "<!-- end of routes -->"


def table() -> str:
    """The routes by their tags."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(
            Settings(
                bundle=None,
                database=f"sqlite:///{folder}/insula.db",
                files=f"{folder}/files",
                trail_key=SecretStr("t" * 40),
                jobs=0,
            )
        )
        app.state.service.records.dispose()
    by_tag: dict[str, list[APIRoute]] = defaultdict(list)
    for route in app.routes:
        if isinstance(route, APIRoute):
            by_tag[str(route.tags[0])].append(route)
    head = f"| route | what it does | needs | {' | '.join(ROLES)} | told |\n|---|---|---|{'---|' * (len(ROLES) + 1)}"
    parts = [f"### {tag}\n\n{head}\n" + "\n".join(_row(one) for one in routes) for tag, routes in by_tag.items()]
    return "\n\n".join(parts)


def _row(route: APIRoute) -> str:
    needs = permission_of(route) or ""
    said = (route.description or "").split("\n")[0].rstrip(".")
    may = ["yes" if needs in (OPEN, SELF) or needs in GRANTED[role] else "–" for role in ROLES]
    (method,) = route.methods or ("",)
    told = "–" if is_quiet(route) else "yes"
    return f"| `{method} {route.path}` | {said} | {needs} | {' | '.join(may)} | {told} |"


def page(text: str) -> str:
    """The page's text with the tables of today."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    made = page(PAGE.read_text(encoding="utf-8"))
    if "--check" in sys.argv:
        sys.exit(made != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(made, encoding="utf-8")
