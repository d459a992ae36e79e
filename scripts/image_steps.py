"""The steps of a Dockerfile, read as an engine reads them, as far as those of this project go."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BUILT, _SAID = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "SHELL"}, {"EXPOSE", "LABEL", "STOPSIGNAL"}
KNOWN = _BUILT | _SAID | {"HEALTHCHECK", "ENTRYPOINT", "CMD"}
_NAMED = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")


class UnknownStepError(ValueError):
    """An instruction that this reader does not know: what it would do is not tried."""


@dataclass
class Stage:
    """One stage. steps: the instructions after FROM as (word, argument), with names not yet filled in."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Config:
    """What an image says of how it is run."""

    env: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stopsignal: str = "SIGTERM"
    ports: list[int] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Word and argument of each instruction: comments left out, lines that end in a backslash joined."""
    lines, kept = iter(text.splitlines()), ""
    for line in lines:
        if line.lstrip().startswith("#") or (not kept and not line.strip()):
            continue
        if line.rstrip().endswith("\\"):
            kept += line.rstrip()[:-1] + " "
            continue
        word, _, argument = (kept + line).strip().partition(" ")
        kept = ""
        if word.upper() not in KNOWN:
            raise UnknownStepError(f"'{word}' is no instruction that is known here; see scripts/image_steps.py.")
        yield word.upper(), argument.strip()


def stages(path: Path, given: Mapping[str, str] | None = None) -> list[Stage]:
    """The stages of a Dockerfile in order. given: build arguments that stand before the first FROM."""
    found: list[Stage] = []
    outer: dict[str, str] = {}
    for word, argument in instructions(path.read_text(encoding="utf-8")):
        if word == "FROM":
            base, _, name = argument.partition(" AS ")
            found.append(Stage(name.strip() or str(len(found)), filled(base, outer)))
        elif found:
            found[-1].steps.append((word, argument))
        elif word == "ARG":
            name, _, value = argument.partition("=")
            outer[name] = (given or {}).get(name, value.strip('"'))
        else:
            raise UnknownStepError(f"{word} stands before the first FROM.")
    return found


def filled(text: str, names: Mapping[str, str]) -> str:
    """Text with `$NAME`, `${NAME}` and `${NAME:-otherwise}` filled in."""
    return _NAMED.sub(lambda found: names.get(found[1] or found[3], "") or (found[2] or ""), text)


def pairs(argument: str) -> dict[str, str]:
    """`NAME=VALUE` pairs of ENV or LABEL."""
    return dict(one.partition("=")[::2] for one in shlex.split(argument))


def command(argument: str) -> list[str]:
    """The words of an instruction in its JSON form. Raises UnknownStepError for the form that needs a shell."""
    try:
        words = json.loads(argument)
    except ValueError as error:
        raise UnknownStepError(
            f"'{argument[:60]}' is not written as a JSON list; a shell would swallow signals."
        ) from error
    return [str(word) for word in words]


def config(stage: Stage) -> Config:
    """How an image of a stage is run; nothing is carried over from its base."""
    made, names = Config(), dict[str, str]()
    for word, argument in stage.steps:
        text = (
            filled(argument, names | made.env) if word not in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK") else argument
        )
        if word == "ARG":
            name, _, value = text.partition("=")
            names[name] = value.strip('"')
        elif word == "ENV":
            made.env |= pairs(text)
        elif word == "LABEL":
            made.labels |= pairs(text)
        elif word == "USER":
            made.user = text
        elif word == "WORKDIR":
            made.workdir = text
        elif word == "EXPOSE":
            made.ports += [int(port) for port in text.split()]
        elif word == "STOPSIGNAL":
            made.stopsignal = text
        elif word in ("ENTRYPOINT", "CMD"):
            setattr(made, word.lower(), command(text))
        elif word == "HEALTHCHECK":
            made.healthcheck = command(text.partition("CMD ")[2])
    return made
