"""The verb that shows everything: demo."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.output import emit, json_option, on_terminal

if TYPE_CHECKING:
    from insula.workflows.demo_records import Records

_RECIPES = ("haemorrhage-ct", "stroke-ct", "brain-tumour", "clot-origin")
_PORT = 8000
_BEGIN = (
    "Insula demo: made patients, a trained network, its report. Half an hour on two busy cores, less on idle ones; "
    "loading PyTorch comes first."
)


@click.command()
@click.option("--recipe", type=click.Choice(_RECIPES), default=_RECIPES[0], show_default=True, help="The question.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for all that is made; a demo that was stopped goes on, another one there is replaced.",
)
@click.option("--patients", type=click.IntRange(20, 5000), help="Number of phantom patients.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe key.")
@click.option("--serve", is_flag=True, help="Open the dashboard on it; a finished demo in OUT is not made again.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port of the dashboard, 0 for a free one ({_PORT}).")
@json_option
def demo(
    recipe: str,
    out: Path,
    patients: int | None,
    overrides: tuple[str, ...],
    serve: bool,
    port: int | None,
    as_json: bool,
) -> None:
    """Make phantom patients, train on them, evaluate, explain and predict: the whole line, in minutes.

    Nothing is downloaded and no real person's scan is touched. Results stand under OUT; look at OUT/report.html. With
    --serve the dashboard is opened on 127.0.0.1, with people who can log in and phantom studies in it; what it keeps
    lies in OUT/service. A finished demo of the same recipe is then taken as it is, unless --patients or --set is given.
    """
    from insula.core.errors import UsageError

    if port is not None and not serve:
        raise UsageError("--port is the dashboard's and nothing is served; add --serve, or leave it out.")
    if serve:
        _needs_service()
        from insula.workflows.demo_finished import finished

        earlier = None if patients or overrides else finished(out, recipe)
        if earlier is not None:
            data = {"report": str(earlier.page), "bundle": str(earlier.bundle), "made": False}
            emit(as_json, data, f"'{out}' holds a finished demo, which is taken as it is. Report: {earlier.page}")
            _serve(out, recipe, earlier.bundle, port, as_json)
            return
    bundle = _made(recipe, out, patients, overrides, as_json)
    if serve:
        _serve(out, recipe, bundle, port, as_json)
    elif not as_json:
        click.echo(f"See it in the dashboard: insula demo --serve --recipe {recipe} --out {out}")


def _made(recipe: str, out: Path, patients: int | None, overrides: tuple[str, ...], as_json: bool) -> Path:
    """Run the whole line; the bundle that it leaves."""
    from insula.cli.training import bar, needs_torch

    needs_torch()
    click.echo(_BEGIN, err=as_json)  # before PyTorch is loaded, which takes a while the first time
    from insula.report.text import summary
    from insula.workflows.demo import demo as run

    result = run(recipe, out, lambda line: click.echo(line, err=as_json), bar, on_terminal(), patients, overrides)
    total = sum(result.seconds.values())
    data = {
        "report": str(result.page),
        "bundle": str(result.bundle),
        "seconds": result.seconds,
        **result.report.to_dict(),
    }
    text = f"{summary(result.report)}\n\nReport: {result.page}\nBundle: {result.bundle}\nAll stages: {total:.0f} s"
    emit(as_json, data, text)
    return result.bundle


def _serve(out: Path, recipe: str, bundle: Path, port: int | None, as_json: bool) -> None:
    """The dashboard over a finished demo, until Ctrl-C."""
    from insula.core.log import configure
    from insula.serve.run import listen
    from insula.workflows.demo_records import records_of_demo

    os.environ["INSULA_SECURE_COOKIES"] = "false"  # of this process: plain http on this machine
    configure(level="WARNING")
    say = partial(click.echo, err=as_json)
    made = records_of_demo(out, recipe, bundle, _PORT if port is None else port, lambda line: say(f"  {line}"))
    say(_way_in(made))  # before anything that can fail: the password is shown this once
    listen(made.settings, lambda address: say(_told(address)))


def _told(address: str) -> str:
    """That the dashboard can be opened; or, where there is no address any more, that it has ended."""
    if address.startswith("http"):
        return f"The dashboard: {address} (Ctrl-C ends it). Research use only."
    return "The dashboard has ended."


def _way_in(made: Records) -> str:
    """Who can log in, and how."""
    from insula.workflows.demo_records import PEOPLE

    names = ", ".join(f"{name} ({role})" for name, (role, _) in PEOPLE.items())
    if made.password:
        return f"Log in as {names}, each with the password {made.password} (shown this once; its hash alone is kept)."
    return (
        f"Log in as {names}, with the password that was shown when they were made. For another one:\n"
        f"  INSULA_DATABASE={made.settings.database} INSULA_TRAIL_KEY=$(cat {made.key_file}) "
        "insula users set-password ada"
    )


def _needs_service() -> None:
    """Refuse before minutes are spent on training. Raises MissingPartError."""
    from insula.core.errors import MissingPartError

    if any(find_spec(part) is None for part in ("fastapi", "uvicorn", "sqlalchemy", "alembic", "pwdlib", "httpx")):
        raise MissingPartError("The dashboard is part of the service; run: pip install 'insula[serve]'.")
