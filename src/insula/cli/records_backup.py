"""`insula records backup` and `restore`: everything the service keeps, in a folder, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from insula.cli.account import account
from insula.cli.output import emit, json_option, on_terminal
from insula.cli.records_places import files_of, places_as_before, records_of, settings_here


@click.command()
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="New folder for the backup."
)
@json_option
def backup(out: Path, as_json: bool) -> None:
    """Copy records and files to a new folder while the service runs, and verify them.

    The exit code is 24 where the store has not all files that the records name; the backup is whole but for these.
    """
    from insula.serve.store.backup import make
    from insula.serve.store.connect import writing
    from insula.serve.store.errors import RecordsError
    from insula.serve.trail.append import append
    from insula.serve.trail.keys import trail_key

    settings = settings_here()
    key, files = trail_key(settings), files_of(settings)
    with records_of(settings) as engine:
        if not out.exists():  # an entry that the backup holds itself
            with writing(engine) as connection:
                append(connection, key, actor=account(), action="records.backup")
        made = make(engine, files, out, key, _say("copying files"))
    said = (
        f"Wrote {out}: {sum(made.rows.values())} rows, {len(made.files)} files ({made.size} bytes), a trail of "
        f"{made.entries} entries that holds."
    )
    names = "".join(f"\nLacking: {name}" for name in made.lacking)
    data = {"out": str(out), "made_at": made.made_at, "rows": dict(made.rows), "files": len(made.files)}
    emit(as_json, data | {"bytes": made.size, "entries": made.entries, "lacking": list(made.lacking)}, said + names)
    if made.lacking:
        sys.exit(RecordsError.exit_code)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def restore(folder: Path, as_json: bool) -> None:
    """Make records and files anew from the backup in FOLDER; every byte and the trail are verified.

    INSULA_DATABASE names an empty database or a new file; nothing is written over, and of a backup that is refused
    nothing is left. INSULA_TRAIL_KEY is the key of the service that was backed up.
    """
    from insula.serve.store.restore import restore as make_anew
    from insula.serve.trail.keys import trail_key

    settings = settings_here()
    key = trail_key(settings)
    with places_as_before(settings), records_of(settings) as engine:
        files = files_of(settings)
        done = make_anew(engine, files, folder, key, account(), settings.trail_heads, _say("restoring files"))
    made = done.backup
    said = [
        f"Restored {sum(made.rows.values())} rows and {len(made.files)} files as of {made.made_at}; all hashes are "
        f"right, and the trail of {made.entries} entries holds."
    ]
    if done.later:
        said.append(
            f"Heads were signed up to entry {done.later}, which came after the backup: what happened since is not "
            "here. Keep those heads, and name a new place in INSULA_TRAIL_HEADS before the service starts."
        )
    said += [f"Lacking, as when the backup was made: {name}" for name in made.lacking]
    data = {"made_at": made.made_at, "rows": dict(made.rows), "files": len(made.files), "entries": made.entries}
    more = {"heads": done.heads, "later_head": done.later, "lacking": list(made.lacking)}
    emit(as_json, data | more, "\n".join(said))


def _say(what: str) -> Callable[[int, int], None]:
    def say(done: int, of: int) -> None:
        if on_terminal() and (done % 100 == 0 or done == of):
            click.echo(f"\r  {what}: {done} of {of}", err=True, nl=done == of)

    return say
