"""docs/reference/cli.md: every verb of the command line with its arguments and options, out of the verbs themselves."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from reference_words import SOURCE, shortened, table

from insula.cli import audit_trail, cohort, deidentify, records
from insula.cli.main import VERBS, main

HEAD = """# Every verb and option

Each verb has `--help`; each that ends has `--json`, which prints the result, or `{"error": {"code": …, "message": …}}`,
as JSON on standard output. What is said besides (bars, warnings) goes to standard error. `insula --version` prints the
version.
"""
VERDICTS = {
    0: "All went well.",
    1: "The work is done, and what was looked at fails: a finding of an audit, duplicates across splits.",
    2: "The command is not understood: an unknown verb or option, a value of the wrong kind.",
    deidentify.QUARANTINED: "`insula deidentify` left files out, since they could not be made safe.",
    cohort.FAILED: "The verdict of `insula check` is “fail”.",
    audit_trail.FAULT: "The audit trail is not as it was written.",
    audit_trail.CHAIN_ONLY: "The audit trail's chain holds, and no signed head vouches for it.",
    records.BEHIND: "The records lack a migration; run `insula records upgrade`.",
    130: "Stopped by Ctrl-C.",
}


def verbs() -> Iterator[tuple[str, click.Command]]:
    """Every verb, `users create` among them, by what is typed behind `insula`."""

    def walk(name: str, found: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, found
        if isinstance(found, click.Group):
            for inner, command in found.commands.items():
                yield from walk(f"{name} {inner}", command)

    for name in VERBS:
        found = main.get_command(click.Context(main), name)
        assert found is not None, f"insula {name} has no command"
        yield from walk(name, found)


def options(command: click.Command) -> list[click.Option]:
    """The options of a verb that are shown, without `--help`."""
    return [one for one in command.params if isinstance(one, click.Option) and not one.hidden]


def page() -> str:
    """The page."""
    return "\n".join([HEAD, _contents(), *(_written(name, command) for name, command in verbs()), _codes()])


def _contents() -> str:
    rows = [(f"[{name}](#insula-{name})", line) for name, (_, line) in VERBS.items()]
    return f"{table(('verb', 'what it does'), rows)}\n"


def _written(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"insula {name}")
    pieces = [] if isinstance(command, click.Group) else command.collect_usage_pieces(context)
    usage = " ".join(["insula", name, *pieces])
    level = "##" if " " not in name else "###"
    parts = [f"{level} insula {name}", f"    {usage}", _text(command.help or "")]
    if isinstance(command, click.Group):
        inner = [f"[{verb}](#insula-{name.replace(' ', '-')}-{verb})" for verb in command.commands]
        parts.append(f"Verbs: {', '.join(inner)}.")
    if rows := [_row(one, context) for one in options(command)]:
        parts.append(table(("option", "value", "default", "meaning"), rows))
    if command.epilog:
        parts.append(_text(command.epilog))
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(text: str) -> str:
    """A help text; what stands behind a `\\b` keeps its lines, as click shows it."""
    parts = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if "\b" in part:
            parts.append("\n".join(f"    {line}".rstrip() for line in part.replace("\b", "").strip("\n").splitlines()))
        else:
            parts.append(_words(" ".join(part.split())))
    return "\n\n".join(parts)


def _words(text: str) -> str:
    """Words of a help text as Markdown: options as code, and nothing that looks like a tag."""
    found = text.replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)", r"`\1`", found)


def _row(one: click.Option, context: click.Context) -> tuple[str, str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    value = "" if one.is_flag else _value(one, context)
    said = (one.help or "").strip()
    more = [said]
    if one.multiple and "several times" not in said and "repeatable" not in said:
        more.append("May be given several times.")
    if one.envvar:
        more.append(f"Without it: the variable `{one.envvar}`.")
    return names, value, _default(one), _words(" ".join(more))


def _value(one: click.Option, context: click.Context) -> str:
    if isinstance(one.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in one.type.choices)
    if isinstance(one.type, click.types._NumberRangeBase):
        low, high = one.type.min, one.type.max
        what = "whole number" if isinstance(one.type, click.IntRange) else "number"
        return f"{what}, {low} to {high}" if high is not None else f"{what}, {low} or more" if low is not None else what
    if one.metavar:
        return f"`{one.metavar}`"
    return {"integer": "whole number", "text": "text", "path": "path", "float": "number"}.get(
        one.type.name, one.type.name
    )


def _default(one: click.Option) -> str:
    if one.required:
        return "needed"
    found: Any = one.default
    if one.is_flag or found in (None, (), "") or callable(found) or not isinstance(found, str | int | float | object):
        return ""
    text = str(found)
    return "" if "Sentinel" in type(found).__name__ or "UNSET" in text else f"`{text}`"


def codes() -> dict[int, tuple[str, str]]:
    """Exit code → the name and meaning of the error that has it; every error of the package with a code of its own."""
    found: dict[int, tuple[str, str]] = {}
    for path in sorted((SOURCE / "insula").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or not node.name.endswith("Error"):
                continue
            own = {name: value for one in node.body for name, value in _assigned(one)}
            if "exit_code" in own:
                said = shortened(ast.get_docstring(node) or "")
                found.setdefault(int(own["exit_code"]), (str(own.get("code", "")), said))
    return found


def _assigned(node: ast.stmt) -> Iterator[tuple[str, Any]]:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    value = getattr(node, "value", None)
    if (
        isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(target, ast.Name)
        and isinstance(value, ast.Constant)
    ):
        yield target.id, value.value


def _codes() -> str:
    errors = {code: f"`{name}`: {said}" if name else said for code, (name, said) in codes().items()}
    rows = [(str(code), said) for code, said in sorted((errors | VERDICTS).items())]
    head = "Errors and what to do about them: [errors.md](../errors.md)."
    return f"## Exit codes\n\n{head}\n\n{table(('code', 'meaning'), rows)}\n"
