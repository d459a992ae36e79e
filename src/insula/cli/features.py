"""`insula features`: a store of embeddings as one interactive page, with figures."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option
from insula.core.parts import need

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("store", type=_PATH)
@click.option("--out", required=True, type=_PATH, help="The page to write, as features.html.")
@click.option(
    "--map",
    "names",
    multiple=True,
    type=click.Choice(["pca", "tsne", "umap"]),
    help="A map to make, once for each; all when left out. UMAP needs insula[maps].",
)
@click.option("--perplexity", type=Finite(1, 500), default=30.0, show_default=True, help="Of t-SNE.")
@click.option("--neighbours", type=click.IntRange(2, 500), default=15, show_default=True, help="Of UMAP.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn at random.")
@click.option(
    "--most", type=click.IntRange(3, 20_000), default=20_000, show_default=True, help="Cases on the maps at most."
)
@click.option(
    "--pictures",
    type=click.IntRange(0, 20_000),
    default=3000,
    show_default=True,
    help="Thumbnails in the page at most: outliers and wrong answers first, then evenly.",
)
@click.option("--table", type=_PATH, help="Also write each case's places on the maps and distances as CSV.")
@json_option
def features(
    store: Path,
    out: Path,
    names: tuple[str, ...],
    perplexity: float,
    neighbours: int,
    seed: int,
    most: int,
    pictures: int,
    table: Path | None,
    as_json: bool,
) -> None:
    """Show STORE (a folder that `insula embed` wrote) as a page that needs nothing beside itself.

    Maps by PCA, t-SNE and UMAP to move about in; how far the embedding tells apart the classes and every other column
    (scanner, site, sex); and the cases that lie away from all others. The page holds pictures and attributes of
    patients: keep it where the scans are kept.
    """
    need("evaluate", "Making maps of features")
    from insula.core.provenance import write_text
    from insula.evaluate import feature_maps
    from insula.evaluate.features import Asked, look
    from insula.infer.feature_store import load
    from insula.report import features_page

    asked = Asked(tuple(dict.fromkeys(names)) or feature_maps.METHODS, perplexity, neighbours, most, seed=seed)
    found = look(load(store), asked, lambda said: click.echo(f"  {said}", err=True))
    write_text(out, features_page.render(found, pictures))
    if table is not None:
        write_text(table, features_page.table(found))
    lines = [features_page.summary(found), f"Page: {out}"]
    emit(as_json, found.to_dict() | {"page": str(out)}, "\n".join(lines))
