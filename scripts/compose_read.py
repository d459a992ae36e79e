"""compose.yaml, read as far as trying it without an engine needs: variables, merged parts, mounts of each service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def env_file(path: Path) -> dict[str, str]:
    """The variables of a `.env` file."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.partition("=")[::2] for line in lines if line and not line.startswith("#"))


def read(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables filled in. Raises KeyError for one that has to be set and is not."""

    def fill(found: re.Match[str]) -> str:
        value = variables.get(found[1], "")
        if not value and found[2] == "?":
            raise KeyError(f"{found[1]}: {found[3]}")
        return value or (found[3] if found[2] == "-" else "")

    return dict(yaml.safe_load(_VARIABLE.sub(fill, path.read_text(encoding="utf-8"))))


def mounts(compose: Mapping[str, Any], name: str, beside: Path, volumes: Path) -> tuple[tuple[str, str, str], ...]:
    """What a service mounts: (path here or `tmpfs`, where, options). volumes: a folder for those with names."""
    service = compose["services"][name]
    found: list[tuple[str, str, str]] = []
    for one in service.get("tmpfs", ()):
        where, _, options = one.partition(":")
        found.append(("tmpfs", where, options))
    for one in service.get("volumes", ()):
        what, where, *options = one.split(":")
        place = volumes / what if what in compose["volumes"] else (beside / what).resolve()
        found.append((str(place), where, ",".join(options)))
    for secret in service.get("secrets", ()):
        source = secret if isinstance(secret, str) else secret["source"]
        where = f"/run/secrets/{source}" if isinstance(secret, str) else secret["target"]
        found.append((str((beside / compose["secrets"][source]["file"]).resolve()), where, "ro"))
    if size := service.get("shm_size"):
        found.append(("tmpfs", "/dev/shm", f"size={size},mode=1777"))
    return tuple(found)
