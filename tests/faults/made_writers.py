"""Writers beside a backup, or to be killed: `python -m tests.faults.made_writers DATABASE FILES SEED [COUNT]`.

Each round stores a file, names it in a study with an entry of the trail, and says so on its standard output once that
is committed; now and then a study is deleted with its file.
"""

from __future__ import annotations

import io
import random
import sys

from sqlalchemy import Engine, select

from insula.serve.store import patients, schema, studies
from insula.serve.store.connect import connect, writing
from insula.serve.store.files import Files, open_files
from insula.serve.trail.append import append

KEY = b"k" * 40


def write(engine: Engine, files: Files, project: str, number: int, g: random.Random) -> str:
    """One study with one file; the study's id."""
    stored = files.put(io.BytesIO(g.randbytes(g.randint(1, 60_000))), 1 << 20)
    with writing(engine) as connection:
        patient = patients.get_or_create(connection, project, f"P-{g.getrandbits(64)}")
        study = studies.create(connection, patient, None, f"CT {number}")
        studies.add_files(connection, files, study, "ct", [("a", stored)])
        append(connection, KEY, actor="ada", action="study.create", subject=study)
    return study


def erase(engine: Engine, files: Files, study: str) -> None:
    """Delete a study, and its file."""
    with writing(engine) as connection:
        hashes = list(connection.scalars(select(schema.files.c.sha256).where(schema.files.c.study_id == study)))
        studies.remove(connection, study)
        append(connection, KEY, actor="ada", action="study.erase", subject=study)
    for one in hashes:
        files.delete(one)


def main(address: str, place: str, project: str, seed: int, count: int) -> None:
    """Write until killed, or so often."""
    engine, files, g = connect(address), open_files(place), random.Random(seed)
    mine: list[str] = []
    for number in range(count):
        mine.append(write(engine, files, project, number, g))
        sys.stdout.write(f"+{mine[-1]}\n")
        if g.random() < 0.2:
            gone = mine.pop(g.randrange(len(mine)))
            sys.stdout.write(f"?{gone}\n")  # from here on it may be gone
            sys.stdout.flush()
            erase(engine, files, gone)
            sys.stdout.write(f"-{gone}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 1 << 30)
