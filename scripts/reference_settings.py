"""docs/reference/settings.md: every variable of the environment that Insula reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic_settings import BaseSettings
from reference_words import SOURCE, default, introduction, kind, said_of, table

from insula.serve.monitor.settings import MonitorSettings
from insula.serve.pacs.settings import PacsSettings
from insula.serve.people.settings import PeopleSettings
from insula.serve.settings import Settings

HEAD = """# Every variable of the environment

What a recipe asks is science and stands in a file; where to listen, what to keep and every secret come from the
environment. A wrong value is refused at the start, with the variable's name. Secrets are read from the environment
alone, since other accounts of a machine see the arguments of a process; none is written into a log, a bundle or a page.
`insula info --json` lists which of these variables are set, without their values.
"""
SECTIONS: Mapping[str, tuple[type[BaseSettings], str]] = {
    "The service": (Settings, "[service.md](../service.md), [records.md](../records.md)"),
    "People and sessions": (PeopleSettings, "[people.md](../people.md)"),
    "Monitoring and alerts": (MonitorSettings, "[monitoring.md](../monitoring.md)"),
    "The PACS node": (PacsSettings, "[pacs.md](../pacs.md)"),
}
OTHERS: Mapping[str, tuple[str, str]] = {
    "INSULA_SECRETS": (
        "the service, workers and the node",
        "A folder of files, each named as a variable: what is not in the environment is read from there.",
    ),
    "INSULA_PROVIDERS": (
        "every verb that predicts, and the service",
        "Execution providers to try, in order, as in `cuda,cpu`; the best that is installed where it is not set.",
    ),
    "INSULA_TRUSTED_KEYS": (
        "every verb that opens a bundle, and the service",
        "Public keys, or folders of them, separated by `:`; only bundles signed with one of them are opened. "
        "See [export.md](../export.md#signed-bundles).",
    ),
    "INSULA_SIGNING_KEY": ("`insula bundle sign`", "The secret key as text, where no file of it is given."),
    "INSULA_LOOKS": (
        "`insula evaluate`",
        "The file in which looks at test cases are counted; empty for none. See [evaluation.md](../evaluation.md).",
    ),
    "INSULA_DEID_KEY": (
        "`insula deidentify`",
        "The secret of pseudonyms, of 16 characters or more. See [deidentification.md](../deidentification.md).",
    ),
    "INSULA_SEARCH_STORE": (
        "`insula search`",
        "The database that several workers of one search share, in place of `--store`. See [search.md](../search.md).",
    ),
    "INSULA_NEW_PASSWORD": (
        "`insula users`",
        "A new password, where there is no terminal to ask for it. See [people.md](../people.md).",
    ),
    "INSULA_REMOTE": (
        "`insula remote`, `insula.client`",
        "The address of a service elsewhere. See [client.md](../client.md).",
    ),
    "INSULA_REMOTE_KEY": ("`insula remote`, `insula.client`", "The API key shown to it; never an argument."),
    "INSULA_PACS_LOGIN_<PEER>": (
        "`insula pacs`",
        "What a web or FHIR peer asks for: `NAME:PASSWORD`, or a bearer token. See [pacs.md](../pacs.md).",
    ),
}
FOREIGN: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "where traces are sent; with the extra `traces`, none without it",
    "AWS_…": "keys, region and endpoint of an object store, as the tools of AWS read them; with the extra `s3`",
    "MLFLOW_TRACKING_URI, WANDB_MODE": "where `--tracker` sends; [tracking.md](../tracking.md)",
    "OMP_NUM_THREADS": "threads of the numerical libraries",
    "XDG_CACHE_HOME, XDG_STATE_HOME": "where compiled engines and the count of looks lie",
}
_NAME = re.compile(r"(?<![A-Z_])INSULA_[A-Z0-9_]*[A-Z0-9]")
_NO_SETTING = {"INSULA_PACS", "INSULA_PACS_LOGIN"}  # prefixes, as error messages write them


def variables() -> Iterator[tuple[str, str]]:
    """Every variable by its full name, with what it means."""
    for section, _ in SECTIONS.values():
        for name, meaning in said_of(section).items():
            yield f"{section.model_config['env_prefix']}{name.upper()}", meaning
    for name, (_, meaning) in OTHERS.items():
        yield name, meaning


def named_in_source() -> set[str]:
    """Every variable of ours that some file of the package names."""
    found = {
        name
        for path in SOURCE.rglob("*.py")
        for name in _NAME.findall(path.read_text(encoding="utf-8"))
        if name not in _NO_SETTING
    }
    return {re.sub("(?<=INSULA_PACS_LOGIN_).*", "<PEER>", name) for name in found}


def page() -> str:
    """The page."""
    written = [_written(title, section, more) for title, (section, more) in SECTIONS.items()]
    others = table(("variable", "read by", "meaning"), [(f"`{n}`", by, said) for n, (by, said) in OTHERS.items()])
    foreign = table(("variable", "meaning"), [(f"`{name}`", said) for name, said in FOREIGN.items()])
    tail = "Variables of other programs that Insula, or a library within it, follows:"
    return "\n".join([HEAD, *written, f"## Single verbs\n\n{others}\n", f"## Not ours\n\n{tail}\n\n{foreign}\n"])


def _written(title: str, section: type[BaseSettings], more: str) -> str:
    schema = section.model_json_schema()
    prefix = section.model_config["env_prefix"]
    said = said_of(section)
    rows = [
        (f"`{prefix}{key.upper()}`", kind(held), default(held, key in schema.get("required", ())), said[key])
        for key, held in schema["properties"].items()
    ]
    head = f"{introduction(section)} More: {more}."
    return f"## {title}\n\n{head}\n\n{table(('variable', 'value', 'default', 'meaning'), rows)}\n"
