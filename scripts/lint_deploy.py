"""Are the files of containers/ and deploy/ sound? Each by the program that reads it, or by one made for checking it.

Usage: python scripts/lint_deploy.py      exit code 1 where one of them finds something
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONTAINERS, CLUSTER, UNITS = ROOT / "containers", ROOT / "deploy/kubernetes", ROOT / "deploy/systemd"
VERSIONS = ("1.30", "1.33")  # of Kubernetes, whose schemas the files are held against
FOREIGN = ("ServiceMonitor", "ScaledObject")  # of operators, for which no schema is at hand: tests/house look at them
EXPOSED = 2.0  # the most of systemd's exposure level, of 10
_BIN = Path(sys.executable).parent


def main() -> None:
    bad = 0
    for said, check in CHECKS:
        try:
            told = check()
        except FileNotFoundError as error:
            told = f"{error.filename} is not installed; run: scripts/system-packages deploy, and make .venv/.test"
        print(f"{'ok  ' if not told else 'BAD '} {said}")
        if told:
            print("     " + told.strip().replace("\n", "\n     "))
            bad += 1
    raise SystemExit(1 if bad else 0)


def call(*words: str | Path, cwd: Path = ROOT, silent: bool = False) -> str:
    """What a program says where it finds something, "" where it finds nothing. silent: it says nothing then."""
    path = os.pathsep.join([str(_BIN), os.environ["PATH"], "/usr/sbin", "/sbin"])
    program = shutil.which(str(words[0]), path=path)
    if program is None:
        raise FileNotFoundError(2, "missing", str(words[0]))
    own = os.environ | {"PATH": path}
    done = subprocess.run([program, *map(str, words[1:])], cwd=cwd, env=own, text=True, capture_output=True)
    said = done.stdout + done.stderr
    if done.returncode:
        return said or f"exit code {done.returncode}"
    return said if silent else ""


def dockerfiles() -> str:
    """hadolint, with everything down to its style rules."""
    return call("hadolint", "--failure-threshold", "style", *sorted(CONTAINERS.glob("Dockerfile*")))


def compose() -> str:
    """The schema of the Compose specification, as check-jsonschema has it."""
    return call("check-jsonschema", "--builtin-schema", "vendor.compose-spec", CONTAINERS / "compose.yaml")


def yamls() -> str:
    """yamllint over all YAML files."""
    rules = (
        "{extends: default, rules: {line-length: {max: 130}, document-start: disable, braces: {max-spaces-inside: 0}, "
    )
    rules += "truthy: {check-keys: false}, octal-values: disable, comments: {min-spaces-from-content: 1}}}"
    files = [
        path
        for place in (CONTAINERS, ROOT / "deploy")
        for ending in ("*.yaml", "*.yml")
        for path in sorted(place.rglob(ending))
    ]
    return call("yamllint", "--strict", "-d", rules, *(path for path in files if "secrets" not in path.parts))


def rendered(folder: Path) -> list[dict[str, object]]:
    """What kustomize makes of a folder."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise FileNotFoundError(2, "missing", "kubectl, 1.21 or newer (Debian 13: kubernetes-client)")
    done = subprocess.run([kubectl, "kustomize", str(folder)], text=True, capture_output=True)
    if done.returncode or done.stderr.strip():
        raise ValueError(done.stderr)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def kustomizations() -> str:
    """kubectl kustomize, then the schemas of the Kubernetes API for each object."""
    said = []
    for folder in (CLUSTER / "base", CLUSTER / "overlays/example", CLUSTER / "overlays/scaled"):
        try:
            objects = rendered(folder)
        except ValueError as error:
            said.append(f"{folder.relative_to(ROOT)}: {error}")
            continue
        known = [one for one in objects if one["kind"] not in FOREIGN]
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / f"{folder.name}.yaml"
            file.write_text(yaml.safe_dump_all(known))
            said += [
                told for version in VERSIONS if (told := call("kubernetes-validate", "--strict", "-k", version, file))
            ]
    return "\n".join(said)


def proxy() -> str:
    """nginx -t, with a certificate made for this and an address in place of the service's name."""
    with tempfile.TemporaryDirectory() as place:
        key, certificate = Path(place) / "key", Path(place) / "certificate"
        told = call(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            key,
            "-out",
            certificate,
        )
        text = (CONTAINERS / "nginx.conf").read_text()
        for name, stands in (("/tmp/", f"{place}/"), ("/dev/std", f"{place}/std"),
                             ("/run/secrets/TLS_CERTIFICATE", str(certificate)), ("/run/secrets/TLS_KEY", str(key)),
                             ("http://service:", "http://127.0.0.1:")):  # fmt: skip
            text = text.replace(name, stands)
        file = Path(place) / "nginx.conf"
        file.write_text(text)
        return told or call("nginx", "-t", "-q", "-c", file)


def prometheus() -> str:
    """promtool: the configuration, the rules, and the rules' own tests."""
    return (
        call("promtool", "check", "config", "--syntax-only", CONTAINERS / "prometheus.yml")
        or call("promtool", "check", "rules", CONTAINERS / "alerts.yml")
        or call("promtool", "test", "rules", "alerts_test.yml", cwd=CONTAINERS)
    )


def units() -> str:
    """systemd-analyze: whether the units are understood, and how much they leave open."""
    said = []
    with tempfile.TemporaryDirectory() as place:
        for file in sorted(UNITS.glob("*.*")):
            if file.suffix in (".service", ".timer"):  # where Insula is installed is not looked at
                text = file.read_text().replace("/opt/insula/bin/insula", "/bin/true")
                (Path(place) / file.name).write_text(text)
        made = sorted(Path(place).iterdir())
        said.append(call("systemd-analyze", "verify", "--man=no", *made, silent=True))
        for file in made:
            if file.suffix == ".service":
                most = f"--threshold={EXPOSED * 10:.0f}"
                said.append(call("systemd-analyze", "security", "--offline=true", most, file))
    return "\n".join(one for one in said if one)


def shells() -> str:
    """shellcheck."""
    return call(
        "shellcheck", CONTAINERS / "make-secrets", ROOT / "scripts/system-packages", ROOT / "scripts/own-network"
    )


CHECKS: Sequence[tuple[str, Callable[[], str]]] = (
    ("Dockerfiles (hadolint)", dockerfiles),
    ("compose.yaml (schema of the Compose specification)", compose),
    ("YAML (yamllint)", yamls),
    ("kustomizations (kubectl kustomize, kubernetes-validate)", kustomizations),
    ("nginx.conf (nginx -t)", proxy),
    ("prometheus.yml, alerts.yml (promtool)", prometheus),
    ("units (systemd-analyze)", units),
    ("shell scripts (shellcheck)", shells),
)


if __name__ == "__main__":
    main()
