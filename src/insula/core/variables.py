"""The environment variables that Insula reads, by who reads them; what each means stands on that part's page."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

START: Final = "INSULA_"
OPEN: Final = ("INSULA_PACS_LOGIN_",)  # and the name of a peer
READ_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "prediction": ("PROVIDERS", "TRUSTED_KEYS"),
    "signatures": ("SIGNING_KEY",),
    "service and node": ("SECRETS",),
    "evaluation": ("LOOKS",),
    "de-identification": ("DEID_KEY",),
    "search": ("SEARCH_STORE",),
    "client": ("REMOTE", "REMOTE_KEY"),
    "people": ("NEW_PASSWORD",),
    "service": (
        "BUNDLE",
        "HOST",
        "PORT",
        "MAX_UPLOAD_MB",
        "MAX_BATCH",
        "THREADS",
        "WORKERS",
        "QUEUE",
        "COMPANY_MS",
        "PER_MINUTE",
        "BURST",
        "WAIT_SECONDS",
        "READ_SECONDS",
        "ENGINE_SECONDS",
        "API_KEY",
        "SUMMARY_URL",
        "SUMMARY_MODEL",
        "SUMMARY_KEY",
        "SUMMARY_TIMEOUT",
        "DATABASE",
        "FILES",
        "TRAIL_KEY",
        "TRAIL_HEADS",
        "MODELS",
        "RUNS",
        "JOBS",
        "HOSTS",
    ),
    "log-in": (
        "SESSION_IDLE_MINUTES",
        "SESSION_HOURS",
        "LOCK_AFTER",
        "LOCK_SECONDS",
        "LOCK_MOST_SECONDS",
        "SECURE_COOKIES",
        "ISSUERS",
    ),
    "monitoring": (
        "DRIFT_RATE",
        "DRIFT_REFERENCE",
        "ALERT_URL",
        "ALERT_HOSTS",
        "ALERT_SECRET",
        "ALERT_ERROR_RATE",
        "ALERT_FAILED_JOBS",
        "ALERT_ACCURACY",
    ),
    "node": (
        "PACS_AE_TITLE",
        "PACS_HOST",
        "PACS_PORT",
        "PACS_ALLOW",
        "PACS_TLS_CERT",
        "PACS_TLS_KEY",
        "PACS_TLS_CA",
        "PACS_PEERS",
        "PACS_RULES",
        "PACS_QUIET_SECONDS",
        "PACS_MOST_ASSOCIATIONS",
        "PACS_MOST_WAITING",
        "PACS_LEAST_FREE_MB",
        "PACS_MAX_INSTANCE_MB",
        "PACS_KEEP_UNROUTED_DAYS",
        "PACS_IDENTITY_KEY",
        "PACS_ORTHANC",
        "PACS_WORKITEMS",
    ),
}


def known() -> tuple[str, ...]:
    """Every variable, with its start."""
    return tuple(START + name for names in READ_BY.values() for name in names)


def strangers(names: Iterable[str]) -> dict[str, str]:
    """Of these names those that begin as ours and that nothing reads, each with the name that may be meant, or ""."""
    every = known()
    ours = (name for name in names if name.upper().startswith(START))
    odd = [name for name in ours if name.upper() not in every and not name.upper().startswith(OPEN)]
    return {name: next(iter(difflib.get_close_matches(name.upper(), every, 1, 0.8)), "") for name in odd}
