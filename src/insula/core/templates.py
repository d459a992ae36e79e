"""How every page of Insula is made from its template: escaped, and with no name left undefined."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from insula.core.style import sheet


def environment(package: str, folder: str = "templates") -> Environment:
    """The templates of one package; text is escaped, and a template that names what it was not given is an error.

    Each has the one style sheet as `style`.
    """
    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = sheet()
    return made
