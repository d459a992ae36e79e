"""`insula pacs`: the node in the hospital's network, and what it can ask of other machines there."""

from __future__ import annotations

import click

from insula.cli.pacs_ask import echo, find, pull, push
from insula.cli.pacs_node import listen, rules, status


@click.group()
def pacs() -> None:
    """Take scans from the hospital's network, ask its archives, and send results there.

    Other machines are named in INSULA_PACS_PEERS, as archive=dicom://ARCHIVE@pacs.example:104; docs/pacs.md has all
    settings. Research use only.
    """


pacs.add_command(echo)
pacs.add_command(find)
pacs.add_command(pull)
pacs.add_command(push)
pacs.add_command(listen)
pacs.add_command(status)
pacs.add_command(rules)
