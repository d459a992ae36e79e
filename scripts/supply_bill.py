"""Everything that the wheel's extras install: what it is, under which licence, and what is known against it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOT_DELIVERED = ("bench", "deploy", "dev", "docs", "release")  # for whoever works on Insula, not for whoever runs it
UNKNOWN = "unknown"
_COPYLEFT = re.compile(r"\b(?:AGPL|LGPL|GPL|MPL|EPL|CDDL|EUPL)|GNU|Mozilla|copyleft", re.IGNORECASE)
_UNREACHED = re.compile(r"ConnectionError|Max retries|Name or service|timed out|Temporary failure|ServiceError|resolve")


@dataclass(frozen=True)
class Part:
    """One installed distribution. extras: of Insula, by which it comes; "" for what Insula always installs."""

    name: str
    version: str
    extras: tuple[str, ...]


@dataclass(frozen=True)
class Advisories:
    """known: (name, version, id of the advisory, versions that mend it). unreached: why nothing is known, or ""."""

    known: tuple[tuple[str, str, str, str], ...]
    unreached: str = ""


def closure(pyproject: Path) -> list[Part]:
    """What is installed here and comes by a requirement of the wheel or of one of its extras, by name."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    asked = {"": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, set[str]] = {}
    for extra, lines in asked.items():
        if extra in NOT_DELIVERED:
            continue
        waiting = [requirement for line in lines if _wanted(requirement := Requirement(line), "")]
        seen: set[tuple[str, str]] = set()
        while waiting:
            requirement = waiting.pop()
            name = canonicalize_name(requirement.name)
            for inner in ("", *requirement.extras):
                if (name, inner) in seen:
                    continue
                seen.add((name, inner))
                if name == project["name"]:  # an extra that includes another one
                    waiting += [Requirement(line) for line in asked[inner]] if inner else []
                    continue
                try:
                    below = metadata.requires(name) or []
                except metadata.PackageNotFoundError:
                    continue  # an extra that is not installed here, or a requirement of another platform
                found.setdefault(name, set()).add(extra)
                waiting += [one for line in below if _wanted(one := Requirement(line), inner)]
    return [Part(name, metadata.version(name), tuple(sorted(found[name]))) for name in sorted(found)]


def _wanted(requirement: Requirement, extra: str) -> bool:
    """Whether it is installed on this platform: by itself, or through an extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def bill(pyproject: Path, parts: Sequence[Part]) -> str:
    """The parts as CycloneDX 1.6 in JSON: name, version, package URL, licences, and what needs what."""
    command = ["-m", "cyclonedx_py", "environment", "--pyproject", str(pyproject), "--sv", "1.6", "--of", "JSON"]
    made = subprocess.run(
        [sys.executable, *command, "--output-reproducible", sys.executable], check=True, capture_output=True, text=True
    )
    whole: dict[str, Any] = json.loads(made.stdout)
    names = {part.name for part in parts}
    root = whole["metadata"]["component"]["bom-ref"]
    whole["components"] = [one for one in whole["components"] if canonicalize_name(one["name"]) in names]
    kept = {one["bom-ref"] for one in whole["components"]} | {root}
    whole["dependencies"] = [one for one in whole["dependencies"] if one["ref"] in kept]
    for one in whole["dependencies"]:
        if "dependsOn" in one:
            one["dependsOn"] = [ref for ref in one["dependsOn"] if ref in kept]
    for one in whole["components"]:
        _without_place(one)
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


def _without_place(component: dict[str, Any]) -> None:
    """Leave out where on this machine a distribution was found."""
    outside = [one for one in component.get("externalReferences", []) if not one["url"].startswith("file:")]
    component.pop("externalReferences", None)
    if outside:
        component["externalReferences"] = outside


def invalid(text: str) -> str:
    """Why a bill is no valid CycloneDX 1.6, or ""."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return "" if error is None else str(error)


def licences(parts: Sequence[Part]) -> dict[str, str]:
    """Name and version of every part → its licence as its makers say it."""
    return {f"{part.name} {part.version}": licence(metadata.metadata(part.name)) for part in parts}


def licence(told: Any) -> str:
    """The licence that a distribution's metadata name: the expression, else classifiers, else a short free text."""
    if expression := told.get("License-Expression"):
        return str(expression)
    classifiers = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or () if c.startswith("License ::")]
    if classifiers:
        return "; ".join(classifiers)
    text = str(told.get("License") or "").strip()
    return text.splitlines()[0][:80] if text and text.upper() != "UNKNOWN" else UNKNOWN


def copyleft(name: str) -> bool:
    """Whether a licence asks that changes, or what is built upon, be shared under it."""
    return bool(_COPYLEFT.search(name))


def advisories(parts: Sequence[Part], out: Path) -> Advisories:
    """What the Python Packaging Advisory Database knows of these versions, asked through pip-audit."""
    listed = out / "parts.txt"
    listed.write_text("".join(f"{part.name}=={part.version}\n" for part in parts), encoding="utf-8")
    command = ["-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip", "--format", "json"]
    made = subprocess.run([sys.executable, *command, "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        told = json.loads(made.stdout)
    except ValueError:
        last = (made.stderr.strip().splitlines() or ["no answer"])[-1]
        if not _UNREACHED.search(made.stderr):
            raise RuntimeError(f"pip-audit gave no JSON (exit code {made.returncode}): {last}") from None
        return Advisories((), "the index of packages was not reached")
    (out / "advisories.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return Advisories(tuple(_each(told["dependencies"])), _skipped(told["dependencies"]))


def _each(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [
        (one["name"], one["version"], told["id"], ", ".join(told["fix_versions"]) or "none yet")
        for one in found
        for told in one.get("vulns", ())
    ]


def _skipped(found: Sequence[Mapping[str, Any]]) -> str:
    names = [one["name"] for one in found if "skip_reason" in one]
    if names and len(names) == len(found):
        return "the index has no records of advisories"
    return f"the index does not know {', '.join(names)}" if names else ""
