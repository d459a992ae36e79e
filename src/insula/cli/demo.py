"""The verb that shows everything: demo."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option, on_terminal

_RECIPES = ("haemorrhage-ct", "stroke-ct", "brain-tumour", "clot-origin")


@click.command()
@click.option("--recipe", type=click.Choice(_RECIPES), default=_RECIPES[0], show_default=True, help="The question.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    help="Folder for everything that is made; one that an earlier demo left is replaced.",
)
@click.option("--patients", type=click.IntRange(20, 5000), help="Number of phantom patients.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe key.")
@click.option("--serve", is_flag=True, help="Leave the service running with the bundle that was made.")
@json_option
def demo(recipe: str, out: Path, patients: int | None, overrides: tuple[str, ...], serve: bool, as_json: bool) -> None:
    """Make phantom patients, train on them, evaluate, explain and predict: the whole line, in minutes.

    Nothing is downloaded and no real person's scan is touched. Results stand under OUT; look at OUT/report.html.
    """
    from insula.cli.training import bar, needs_torch
    from insula.report.text import summary

    needs_torch()
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
    if serve:
        from insula.cli.serve import serve_bundle

        serve_bundle(result.bundle)
    elif not as_json:
        click.echo(f"Serve it: insula serve {result.bundle}")
