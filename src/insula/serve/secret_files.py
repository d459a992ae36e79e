"""Settings from files: a container is given its secrets as a folder of files, each named as its variable.

Files keep secrets out of process lists, of `docker inspect`, and of the environment that decoders of scans are given.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource

from insula.core.errors import UsageError

VARIABLE: Final = "INSULA_SECRETS"


class FromEnvironment(BaseSettings):
    """Settings that stand in the environment, or else in files of the folder that INSULA_SECRETS names.

    The file of a setting has its variable's name (`INSULA_TRAIL_KEY`); blanks around its text do not count.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line first, then the environment, then files. Raises UsageError for a folder that is none."""
        place = folder()
        files = () if place is None else (SecretsSettingsSource(settings_cls, place),)
        return (init_settings, env_settings, *files)


def folder() -> Path | None:
    """The folder of INSULA_SECRETS, None where it is not set. Raises UsageError where there is no such folder."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return None
    place = Path(named)
    if not place.is_dir():
        raise UsageError(
            f"{VARIABLE} names '{named[:200]}', which is no folder; mount the secrets there, a file for each variable."
        )
    return place


def given(variable: str) -> str:
    """A variable's value where settings have no field for it: of the environment, else of its file, else ""."""
    found = os.environ.get(variable)
    if found is not None:
        return found
    place = folder()
    file = None if place is None else place / variable
    return file.read_text(encoding="utf-8").strip() if file is not None and file.is_file() else ""
