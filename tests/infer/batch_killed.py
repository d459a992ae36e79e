"""A batch in a process of its own, which says each row that it has; somebody else kills it."""

from __future__ import annotations

import sys
from pathlib import Path

from insula.bundle.load import load
from insula.core.recipe import Recipe
from insula.infer.batch import batch
from insula.infer.batch_items import of_folder
from insula.infer.batch_record import Counts
from insula.infer.predict import Predictor


def main(bundle: Path, folder: Path, out: Path) -> None:
    """Predict all cases of a folder into a table."""
    predictor = Predictor(load(bundle), 1)
    recipe: Recipe = predictor.bundle.recipe

    def say(counts: Counts) -> None:
        sys.stdout.write(f"{counts.rows}\n")
        sys.stdout.flush()

    batch(predictor, of_folder(folder, recipe), folder, out, readers=2, watch=say)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:]))
