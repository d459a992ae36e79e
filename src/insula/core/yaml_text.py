"""YAML that somebody wrote by hand: plain data, or one kind of error."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LONGEST = 200
_DEEPEST, _MOST = 100, 100_000  # lists within lists, and values once every alias is written out
_LONGEST_NUMBER = 1000  # characters: `1:10:10…` is one in base 60, worked out in time that grows as its square
_NUMBER, _NUMBERS = re.compile(r"[-+0-9_:.]*"), ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlTextError(ValueError):
    """A text that is no YAML of plain values; its message is one line."""


def read(text: str, loader: type[Any] = yaml.SafeLoader) -> Any:
    """The values of a YAML text. loader: one that makes plain values alone.

    Raises YamlTextError, whatever is wrong with the text.

    PyYAML's own errors are about its grammar alone: an impossible date, a number that is none, or lists within lists
    without end leave it as ValueError, AttributeError, IndexError or RecursionError.
    """
    try:
        _bound(text)
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except YamlTextError:
        raise
    except RecursionError as error:
        raise YamlTextError("it nests its lists and mappings too deep") from error
    except Exception as error:  # broad: as said above
        raise YamlTextError(" ".join(str(error).split())[:_LONGEST] or type(error).__name__) from error


def _bound(text: str) -> None:
    """Refuse what would nest or grow without end: a few hundred bytes of aliases stand for billions of values.

    Nothing is built, and of a text that is too much the rest is not read.
    """
    written: dict[str, int] = {}  # anchor → values that an alias of it stands for
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_EVENTS):
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            if len(open_ones) > _DEEPEST:
                raise YamlTextError("it nests its lists and mappings too deep")
            continue
        count, anchor = 0, None
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, count = open_ones.pop()
        elif isinstance(event, yaml.AliasEvent):
            count = written.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            anchor, count = event.anchor, 1
            if len(event.value) > _LONGEST_NUMBER and (event.tag in _NUMBERS or _NUMBER.fullmatch(event.value)):
                raise YamlTextError(f"it holds a number of {len(event.value)} characters")
        if anchor is not None:
            written[anchor] = count
        outer, so_far = open_ones[-1]
        open_ones[-1] = (outer, so_far + count)
        if so_far + count > _MOST:
            raise YamlTextError(f"it stands for more than {_MOST} values")
