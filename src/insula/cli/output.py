"""What every verb shares: JSON or text out, a progress bar on standard error, recipe options."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])
_EVERY = 15.0  # seconds between two lines of a long job in a log


def point(place: str) -> None:
    """Say, as the last line of an error, where the documents say more."""
    click.echo(f"More: insula docs {place}", err=True)


def json_option(command: Command) -> Command:
    """Add `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def recipe_options(command: Command) -> Command:
    """Add `--recipe NAME_OR_FILE` and repeatable `--set key.sub=value`, passed as `recipe` and `overrides`."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, e.g. --set train.epochs=5."
    )(command)
    return click.option(
        "--recipe",
        required=True,
        metavar="NAME|FILE",
        help="A recipe by name or a YAML file.",
        shell_complete=_recipe_names,
    )(command)


def _recipe_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes: the names of recipes that begin so, or files."""
    from click.shell_completion import CompletionItem

    from insula.core.recipe_names import names

    found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def emit(as_json: bool, data: dict[str, Any], text: str) -> None:
    """Print the result of a verb: data as JSON, or text for people."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else text)


def say(text: str) -> None:
    """Tell on standard error what is being done now, where that takes a while and cannot be counted."""
    click.echo(f"  {text}", err=True)


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Go through items under a progress bar on standard error; where that is no terminal, with a line now and then."""
    if on_terminal():
        from tqdm import tqdm

        yield from tqdm(items, desc=label, total=total, file=sys.stderr, leave=False)
        return
    said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            click.echo(f"  {label}: {done}{f' of {total}' if total else ''}", err=True)


def on_terminal() -> bool:
    """Whether a person watches standard error, so that bars that redraw themselves make sense."""
    return sys.stderr.isatty()
