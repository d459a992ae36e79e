"""The model of the plain endpoints: the one that the settings name."""

from __future__ import annotations

from insula.serve.faults import RequestError
from insula.serve.models.line import Line, Seconds
from insula.serve.models.loaded import LIMITS as LIMITS
from insula.serve.models.loaded import Loaded
from insula.serve.models.pool import Pool
from insula.serve.settings import Settings


def pool_of(settings: Settings) -> Pool:
    """The loaded models: that of the settings, if they name one."""
    pool = Pool(settings.threads, settings.company_ms / 1000)
    if settings.bundle:
        pool.add(settings.bundle)
    return pool


def line_of(settings: Settings) -> Line:
    """The queue before them."""
    limits = Seconds(settings.wait_seconds, settings.read_seconds, settings.engine_seconds)
    return Line(settings.workers, settings.queue, limits)


def needed(model: Loaded | None) -> Loaded:
    """The model, or RequestError when none is loaded."""
    if model is None:
        raise RequestError(503, "no_model", "No model is loaded; start the service with a bundle (INSULA_BUNDLE).")
    return model
