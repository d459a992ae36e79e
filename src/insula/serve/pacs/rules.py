"""What becomes of a series that comes in: the first rule that fits it says which model, whose project, where to."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insula.core import yaml_text
from insula.core.errors import UsageError
from insula.core.yaml_text import YamlTextError
from insula.report.dicom.result import Object
from insula.serve.pacs.settings import PacsSettings, find_peer

_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class SeriesFacts:
    """What rules look at, as the headers have it; nothing of it names a patient."""

    source: str
    modality: str
    body_part: str = ""
    study_description: str = ""
    series_description: str = ""


class When(BaseModel):
    """Patterns with `*` and `?` that all have to fit, whatever the case of letters; "" fits only what is not said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "*"
    modality: str = "*"
    body_part: str = "*"
    study_description: str = "*"
    series_description: str = "*"


class Rule(BaseModel):
    """One rule. model: the name of a recipe whose active model predicts, "" to keep the study and predict nothing.

    project: whose study it becomes. send: peers that get the answer. objects: as which DICOM objects. instances: so
    many make the series whole at once, without waiting until it is quiet. pseudonymise: store under pseudonyms alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=120)]
    when: When = When()
    project: Annotated[str, Field(min_length=1, max_length=120)]
    model: str = ""
    send: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ("report", "capture", "map")
    instances: Annotated[int, Field(ge=1)] | None = None
    uncertainty: bool = True
    pseudonymise: bool = False


class Rules(BaseModel):
    """The file: `rules:` and a list of them, the first that fits counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...] = ()

    @property
    def pseudonymise(self) -> bool:
        """Whether what no rule takes is stored under pseudonyms: where any rule asks for them."""
        return any(rule.pseudonymise for rule in self.rules)

    def plain(self, source: str) -> bool:
        """Whether anything of a source may be stored as it comes: by a rule, or because none asks for pseudonyms."""
        near = [rule for rule in self.rules if _fit(rule.when.source, source)]
        hiding = [place for place, rule in enumerate(near) if rule.pseudonymise]
        return not self.pseudonymise or any(
            not any(before < place and _covers(near[before].when, rule.when) for before in hiding)
            for place, rule in enumerate(near)
            if not rule.pseudonymise
        )

    def first(self, facts: SeriesFacts) -> Rule | None:
        """The rule of a series, None where none fits."""
        return next((rule for rule in self.rules if fits(rule.when, facts)), None)


def fits(when: When, facts: SeriesFacts) -> bool:
    """Whether all patterns of a rule fit a series."""
    return all(_fit(str(pattern), getattr(facts, name)) for name, pattern in when.model_dump().items())


def _fit(pattern: str, value: str) -> bool:
    return fnmatchcase(value.strip().lower(), pattern.strip().lower())


def _covers(when: When, other: When) -> bool:
    """Whether all that fits the patterns of another rule fits these, whoever sends."""
    both = zip(when.model_dump(exclude={"source"}).values(), other.model_dump(exclude={"source"}).values(), strict=True)
    return all(mine.strip() == "*" or mine.strip().lower() == theirs.strip().lower() for mine, theirs in both)


def read_rules(path: Path | None) -> Rules:
    """The rules of a YAML file; none without a file. Raises UsageError for a file that is missing or holds none."""
    if path is None:
        return Rules()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"'{path}' is longer than a megabyte; a file of rules is short.")
        found: Any = yaml_text.read(path.read_text(encoding="utf-8")) or {}
        return Rules.model_validate(found)
    except OSError as error:
        raise UsageError(f"The rules '{path}' cannot be read ({error.strerror}); set INSULA_PACS_RULES.") from error
    except (YamlTextError, UnicodeDecodeError) as error:
        raise UsageError(f"The rules '{path}' are no YAML; see docs/pacs.md for an example.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(p) for p in first["loc"])
        raise UsageError(f"The rules '{path}' are refused at '{place}': {first['msg']}; see docs/pacs.md.") from error


def check_rules(rules: Rules, settings: PacsSettings) -> None:
    """Refuse rules that send to peers which are not set, and two of one name. Raises UsageError."""
    settings.peer  # noqa: B018 - an address that is none is told as that
    names = [rule.name for rule in rules.rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"Two rules are called '{twice}'; give each a name of its own.")
    for rule in rules.rules:
        for peer in rule.send:
            try:
                find_peer(settings, peer)
            except UsageError as error:
                raise UsageError(f"The rule '{rule.name}' sends to a peer that is not set: {error}") from error
        if rule.send and not rule.model:
            raise UsageError(f"The rule '{rule.name}' names no model, so it has nothing to send; leave 'send' out.")
