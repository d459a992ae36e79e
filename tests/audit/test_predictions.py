from dataclasses import replace

import numpy as np
import pandas as pd
from tests.audit.made_groups import ground

from insula.audit.predictions import judge

N = 40
Y = np.arange(N) % 2 == 0
P = np.linspace(0.02, 0.98, N)


def verdicts(given: dict[str, float] | None) -> dict[str, str]:
    on = replace(ground(Y, P, [{} for _ in range(N)]), given=given)
    return {found.check: found.verdict for found in judge(on, pd.DataFrame()).findings}


def own() -> dict[str, float]:
    on = ground(Y, P, [{} for _ in range(N)])
    return dict(zip(on.rows.keys.tolist(), on.scores(on.rows).tolist(), strict=True))


def test_the_bundles_own_probabilities_pass_whatever_their_rounding() -> None:
    rounded = {case: round(p, 2) for case, p in own().items()}
    assert verdicts(own()) == verdicts(rounded) == {"predictions/order": "pass", "predictions/values": "pass"}


def test_the_same_probabilities_in_other_rows_are_out_of_order_and_no_other_model() -> None:
    values = list(own().values())
    moved = dict(zip(own(), [*values[1:], values[0]], strict=True))
    assert verdicts(moved) == {"predictions/order": "fail", "predictions/values": "pass"}


def test_other_probabilities_are_another_models() -> None:
    other = {case: p**3 for case, p in own().items()}
    assert verdicts(other) == {"predictions/order": "pass", "predictions/values": "fail"}


def test_without_a_table_nothing_is_said_and_a_table_of_other_cases_cannot_tell() -> None:
    assert verdicts(None) == {}
    assert verdicts({"somebody": 0.5}) == {"predictions/values": "cannot tell"}
