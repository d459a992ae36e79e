"""Whether test cases come from other sites than the training cases: only then is a test called external."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from insula.core.types import Case
from insula.evaluate.evidence import Site
from insula.evaluate.known import Known, site


def standing(known: Known | None, cases: Sequence[Case]) -> Site:
    """The word for this test, and why. known: what the bundle tells; None for predictions made elsewhere.

    external: each test case names its site, the bundle names its training sites, and none is shared. internal: a test
    case comes from a training site. Everything else is not known.
    """
    sites = {case.patient: site(case) for case in cases}
    counted = dict(sorted(Counter(name for name in sites.values() if name).items()))
    total, unnamed = len(sites), sum(not name for name in sites.values())
    trained = known.sites if known else frozenset()
    if not trained:
        whose = "the bundle" if known else "the table of predictions"
        return Site("not known", f"{whose} does not name the training sites", counted, 0, total)
    assert known is not None  # noqa: S101 (there are training sites)
    shared = {name for name in counted if known.hashed(name) in trained}
    patients = sum(counted[name] for name in shared)
    if shared:
        reason = f"{patients} of {total} patients come from a site that was trained on"
        return Site("internal", reason, counted, patients, total)
    if unnamed:
        reason = f"{unnamed} of {total} patients name no site (attribute 'site')"
        return Site("not known", reason, counted, 0, total)
    reason = f"none of the {len(counted)} test sites was trained on"
    return Site("external", reason, counted, 0, total)
