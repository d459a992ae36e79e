"""Does the image work? Its steps are performed and it is run, without an engine, which few machines for tests have.

Debian's debootstrap stands for the official base images; chroot, namespaces and `setpriv` for the engine. The entry
point runs as the image's user, without a capability, on a read-only root, in a network of its own. Then compose.yaml's
services run in the same way, with the settings, secrets, mounts and commands that stand there (scripts/try_compose.py).

Usage: python scripts/try_image.py [FOLDER] [--write] [--again]     root; minutes; FOLDER is runs/image
--write puts what was found into docs/results/deployment.md. --again runs what was built before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scripts.image_build import build  # noqa: E402
from scripts.image_held import HELD, must, until  # noqa: E402
from scripts.image_rooms import Room, begin, call, end, run  # noqa: E402
from scripts.image_steps import Config  # noqa: E402

KEY = "try-" + "k" * 32
PORT = 8000
_INSIDE = "INSULA_TRY_INSIDE"


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("folder", nargs="?", default="runs/image", type=Path)
    given.add_argument("--write", action="store_true")
    given.add_argument("--again", action="store_true")
    asked = given.parse_args()
    if _INSIDE not in os.environ:
        _begin_inside()
    work = (ROOT / asked.folder).resolve()
    if os.environ[_INSIDE] == "build":
        found = built(work, asked.again)
        (work / "found.json").write_text(json.dumps(found))
        os.environ[_INSIDE] = "run"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    call("ip", "link", "set", "lo", "up")
    from scripts import try_compose

    found = json.loads((work / "found.json").read_text())
    root, config = Path(found.pop("root")), Config(**found.pop("config"))
    found["cores of the machine, and its load before"] = f"{os.cpu_count()}, {os.getloadavg()[0]:.1f}"
    found |= alone(root, config, work / "alone")
    found |= try_compose.together(root, config, work / "together")
    print("all of it holds")
    if asked.write:
        write(found)


def _begin_inside() -> None:
    if os.geteuid() != 0:
        raise SystemExit("This mounts and changes root: run it as root, on a machine for tests.")
    os.environ[_INSIDE] = "build"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", sys.executable, *sys.argv]
    raise SystemExit(subprocess.run(words).returncode)


def built(work: Path, again: bool) -> dict[str, object]:
    """Perform the steps; what they made, as plain data."""
    if not again:
        shutil.rmtree(work / "steps", ignore_errors=True)
    started = time.monotonic()
    root, config = build(ROOT / "containers/Dockerfile", work / "steps", again=again)
    took = (time.monotonic() - started) / 60
    if again:
        took = json.loads((work / "found.json").read_text())["minutes to build"]
    size = int(call("du", "-sm", root / "opt/insula").stdout.split()[0])
    whole = int(call("du", "-smx", root).stdout.split()[0])
    print(f"built in {took:.1f} minutes: {whole} MB in all, {size} MB of them Insula and what it needs")
    return {"root": str(root), "config": vars(config), "minutes to build": round(took, 1),
            "MB in all": whole, "MB of Insula and its packages": size}  # fmt: skip


def room_of(root: Path, config: Config, env: dict[str, str], mounts: tuple[tuple[str, str, str], ...]) -> Room:
    """Where an engine would run the image: its user and variables, a read-only root, what is mounted."""
    usual = (("proc", "/proc", ""), ("/dev", "/dev", ""), ("tmpfs", "/dev/shm", "mode=1777,size=512m"))
    return Room(root, (*usual, *mounts), {**config.env, **env}, config.user, config.workdir)


def alone(root: Path, config: Config, work: Path) -> dict[str, object]:
    """The image by itself: one bundle, a key, nothing kept."""
    from tests import tiny_bundle
    from tests.serve import client

    print("the image alone")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "began").touch()
    tiny_bundle.make(work).path.rename(work / "first")
    (work / "scan.dcm").write_bytes(client.dicom())
    mounts = (
        ("tmpfs", "/tmp", "mode=1777,size=1g"),
        ("tmpfs", "/var/lib/insula", "uid=10001,mode=700"),
        (str(work / "first"), "/bundles/first", "ro"),
        (str(work / "scan.dcm"), "/scan.dcm", "ro"),
    )
    words = [*config.entrypoint, *config.cmd]
    without = room_of(root, config, {"INSULA_BUNDLE": "/bundles/first"}, mounts)
    refused = run(without, words, check=False, timeout=60)
    must("without a key it does not start", refused.returncode == 11, refused.stderr)
    room = room_of(root, config, {"INSULA_BUNDLE": "/bundles/first", "INSULA_API_KEY": KEY}, mounts)
    must("its health check fails while nothing runs", run(room, config.healthcheck, check=False).returncode != 0)
    log = work / "log"
    process = begin(room, words, log)
    healthy = until("it is healthy", lambda: run(room, config.healthcheck, check=False).returncode == 0, process, log)
    must(f"it is healthy, after {healthy:.1f} s, by its own health check", True)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    must("it runs as another user than root", set(status["Uid"].split()) == {config.user.split(":")[0]}, status["Uid"])
    must("it has no capability", {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd")} == {"0" * 16})
    must("it can get none", status["NoNewPrivs"] == "1")
    touched = run(room, ["touch", "/opt/insula/x"], check=False)
    must("its root is read-only", "Read-only file system" in touched.stderr, touched.stderr)
    torch = run(room, ["python", "-c", "import torch"], check=False)
    must("PyTorch is not in it", "No module named 'torch'" in torch.stderr, torch.stderr)
    said = posted(f"http://127.0.0.1:{PORT}/predict", work / "scan.dcm", KEY)
    must("it predicts a scan over HTTP", said["class_name"] in tiny_bundle.BINARY, str(said))
    shown = json.loads(
        run(room, ["insula", "predict", "/bundles/first", "/scan.dcm", "--uncertainty", "--json"]).stdout
    )
    must("it predicts a scan by the command line", len(shown["results"]) == 1, str(shown))
    must("unnamed callers are refused", status_of(f"http://127.0.0.1:{PORT}/model_info") == 401)
    code = end(process, config.stopsignal)
    must(f"asked to end by {config.stopsignal} it does, in order", code == 0, f"{code}\n{log.read_text()[-1500:]}")
    must("it wrote nothing outside its volumes", not (found := strays(root, work / "began")), str(found))
    return {"seconds until healthy": round(healthy, 1)}


def posted(url: str, file: Path, key: str) -> dict[str, object]:
    """A file sent as a form; the JSON that comes back."""
    line = "x" * 24
    head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="scan.dcm"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{line}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={line}", "Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return dict(json.load(answer))


def status_of(url: str, **headers: str) -> int:
    """The status that a GET gets."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def strays(root: Path, since: Path) -> list[str]:
    """Files of a root that are newer than another file; places for mounts, which an engine makes too, are empty."""
    return call("find", root, "-xdev", "-newer", since, "-type", "f", "-not", "-empty").stdout.split()


def write(found: dict[str, object]) -> None:
    """The page of what was found."""
    lines = [f"| {name} | {value} |" for name, value in found.items()]
    text = "\n".join(
        [
            "# The image and its neighbours, tried",
            "",
            "Written by `make try-image WRITE=--write`, which performs the steps of `containers/Dockerfile` in a",
            "chroot that debootstrap made, runs the result as its own user on a read-only root without a capability,",
            "and then runs the services of `containers/compose.yaml` as processes of Debian's packages, with the files",
            "and settings that stand there. No container engine was used, and the official base images were not.",
            "",
            "| what | found |",
            "|---|---|",
            *lines,
            "",
            "What held, in this order, of the image alone and then of the services together:",
            "",
            *(f"{number}. {said}" for number, said in enumerate(HELD, 1)),
            "",
        ]
    )
    (ROOT / "docs/results/deployment.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
