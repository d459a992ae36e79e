"""Which recipes come with Insula, told without reading one."""

from __future__ import annotations

from importlib.resources import files


def names() -> tuple[str, ...]:
    """The recipes that come with Insula."""
    folder = files("insula").joinpath("recipes")
    return tuple(sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")))
