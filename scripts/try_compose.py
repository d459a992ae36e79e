"""compose.yaml's services as processes; the image's steps, and Debian's PostgreSQL, nginx, Prometheus stand for images.

Each service has an address of its own of the loopback, and the name by which compose knows it, so that the files of
containers/ are read as they stand.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts import compose_read
from scripts.image_build import PATH
from scripts.image_held import must, until
from scripts.image_rooms import Room, begin, call, end, layered, run
from scripts.image_steps import Config

ROOT = Path(__file__).parents[1]
BESIDE = ROOT / "containers"
DOMAIN = "insula.example"
# connections within the loopback come from 127.0.0.1: the one caller whose address the node looks at is there
NAMES = {"db": 11, "service": 12, "node": 13, "prometheus": 14, "proxy": 15, DOMAIN: 15, "orthanc": 1}
PASSWORD = "a long way to the lighthouse"
_PROC = (("proc", "/proc", ""), ("/dev", "/dev", ""))


def together(root: Path, config: Config, work: Path) -> dict[str, object]:
    """All services, and a study that goes in by the proxy and comes back predicted by the worker."""
    print("the services of compose.yaml")
    shutil.rmtree(work, ignore_errors=True)
    beside = _prepared(work)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt")  # seen here alone
    hosts = work / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.{n} {name}\n" for name, n in NAMES.items()))
    call("mount", "--bind", hosts, "/etc/hosts")
    variables = compose_read.env_file(BESIDE / ".env.example")
    compose = compose_read.read(BESIDE / "compose.yaml", variables)
    volumes = work / "volumes"
    for name in compose["volumes"]:
        (volumes / name).mkdir(parents=True)
        os.chown(volumes / name, *_owner(name))
    made = _Services(root, config, compose, beside, volumes, work, hosts)
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        running["db"] = _database(made)
        found = _service_and_people(made, running)
        found |= _through_the_proxy(made, running)
        _watched(made, running)
        _node(made, running)
        _orthanc(made, running)
        for name in ("node", "worker", "service"):
            code = end(running.pop(name), "SIGTERM")
            must(f"{name}: asked to end it does, in order", code == 0, f"{code}\n{_tail(made, name)}")
        return found
    finally:
        for process in running.values():
            process.kill()


class _Services:
    """Where each service of compose.yaml runs."""

    def __init__(
        self, root: Path, config: Config, compose: dict[str, Any], beside: Path, volumes: Path, work: Path, hosts: Path
    ) -> None:
        self.root, self.config, self.compose, self.work = root, config, compose, work
        self.beside, self.volumes, self.hosts = beside, volumes, hosts
        self.neighbours = layered(Path("/"), Path("/mnt/neighbours"))

    def room(self, name: str, more: Mapping[str, str] | None = None) -> Room:
        """The room of a service that runs the image."""
        service = self.compose["services"][name]
        own = compose_read.mounts(self.compose, name, self.beside, self.volumes)
        mounts = (*_PROC, ("tmpfs", "/run", "mode=755"), *own, (str(self.hosts), "/etc/hosts", "ro"))
        env = {**self.config.env, **service.get("environment", {}), **(more or {})}
        return Room(self.root, mounts, env, service["user"], self.config.workdir)

    def begin(self, name: str) -> subprocess.Popen[str]:
        """Start a service that runs the image, with its command."""
        words = [*self.config.entrypoint, *self.compose["services"][name]["command"]]
        return begin(self.room(name), words, self.log(name))

    def beside_it(self, name: str, words: Sequence[str]) -> subprocess.Popen[str]:
        """Start a service whose image is not ours by this machine's own program, on a layer over its root."""
        own = compose_read.mounts(self.compose, name, self.beside, self.volumes)
        mounts = (*_PROC, ("tmpfs", "/run", "mode=755"), *own, (str(self.hosts), "/etc/hosts", "ro"))
        user = self.compose["services"][name].get("user", "0:0")
        self.log(name).touch()
        os.chown(self.log(name), int(user.partition(":")[0]), 0)  # as an engine gives it to a container's user
        return begin(Room(self.neighbours, mounts, {"PATH": PATH}, user), words, self.log(name))

    def insula(self, *words: str, more: Mapping[str, str] | None = None, check: bool = True) -> str:
        """`docker compose exec service insula …`."""
        return run(self.room("service", more), [*self.config.entrypoint, *words], check).stdout

    def log(self, name: str) -> Path:
        return self.work / f"{name}.log"


def _owner(volume: str) -> tuple[int, int]:
    """Whom a new volume belongs to: an engine takes that from the folder in the image."""
    return {"files": (10001, 10001), "heads": (10001, 10001), "orthanc": (0, 0)}.get(volume, (65534, 65534))


def _prepared(work: Path) -> Path:
    """A copy of containers/ with secrets and a bundle, as somebody who follows the document has it."""
    from tests import tiny_bundle

    beside = work / "containers"
    shutil.copytree(BESIDE, beside, ignore=shutil.ignore_patterns("secrets", "bundles", ".env", "insula.env"))
    call(beside / "make-secrets", DOMAIN)
    before = {path.name: path.read_bytes() for path in (beside / "secrets").iterdir()}
    call(beside / "make-secrets", DOMAIN)
    must("secrets that are there are kept", before == {p.name: p.read_bytes() for p in (beside / "secrets").iterdir()})
    (beside / "bundles").mkdir()
    tiny_bundle.make(beside / "bundles").path.rename(beside / "bundles/first")
    for path in (beside / "bundles").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return beside


def _database(made: _Services) -> subprocess.Popen[str]:
    """What the official image's entry point does: a cluster with the password of the file, then the server."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    version = made.compose["services"]["db"]["image"].partition(":")[2].partition("-")[0]
    must("PostgreSQL here is of the version that compose.yaml names", programs.parent.name == version, str(programs))
    env = made.compose["services"]["db"]["environment"]
    data, given = Path("/mnt/data"), Path("/mnt/password")
    data.mkdir()
    shutil.copy(made.beside / "secrets/POSTGRES_PASSWORD", given)
    for path in (data, given):
        shutil.chown(path, "postgres", "postgres")
    user = {"user": "postgres", "cwd": "/"}
    asked = env["POSTGRES_INITDB_ARGS"].split()
    call(programs / "initdb", "-D", data, "-U", env["POSTGRES_USER"], f"--pwfile={given}", *asked, "--no-sync", **user)
    (data / "pg_hba.conf").write_text("host all all all scram-sha-256\nlocal all all trust\n")
    options = ["-c", "listen_addresses=*", "-c", f"unix_socket_directories={data}"]
    with made.log("db").open("ab") as out:
        words = [str(programs / "postgres"), "-D", str(data), *options]
        process = subprocess.Popen(words, stdout=out, stderr=out, text=True, **user)
    test = made.compose["services"]["db"]["healthcheck"]["test"][1:]
    words = [str(programs / test[0]), *test[1:]]
    until("db is healthy", lambda: subprocess.run(words, capture_output=True).returncode == 0, process, made.log("db"))
    call(
        "psql",
        "-h",
        data,
        "-U",
        env["POSTGRES_USER"],
        "-d",
        "postgres",
        "-c",
        f"CREATE DATABASE {env['POSTGRES_DB']}",
        **user,
    )
    must("db is healthy by its own check", True)
    return process


def _service_and_people(made: _Services, running: dict[str, subprocess.Popen[str]]) -> dict[str, object]:
    running["service"] = made.begin("service")
    check = made.config.healthcheck
    healthy = until(
        "the service is healthy",
        lambda: run(made.room("service"), check, check=False).returncode == 0,
        running["service"],
        made.log("service"),
    )
    must(f"the service is healthy, after {healthy:.1f} s", True)
    seen = Path(f"/proc/{running['service'].pid}/environ").read_text()
    secrets = [
        (made.beside / "secrets" / name).read_text().strip() for name in ("POSTGRES_PASSWORD", "INSULA_TRAIL_KEY")
    ]
    must("no secret stands in its environment", not any(secret in seen for secret in secrets))
    new = {"INSULA_NEW_PASSWORD": PASSWORD}
    made.insula("users", "create", "ada", "--role", "admin", "--project", "Heads", more=new)
    made.insula("users", "create", "prometheus", "--role", "auditor", more=new)
    key = json.loads(
        made.insula(
            "users", "key", "prometheus", "--label", "metrics", "--scope", "monitor.read", "--days", "365", "--json"
        )
    )
    (made.beside / "secrets/PROMETHEUS_KEY").write_text(key["key"])
    made.insula("records", "check")
    must("people and keys are made by the commands of the document", True)
    running["worker"] = made.begin("worker")
    return {"seconds until the service of compose.yaml is healthy": round(healthy, 1)}


def _through_the_proxy(made: _Services, running: dict[str, subprocess.Popen[str]]) -> dict[str, object]:
    from tests.serve import client

    running["proxy"] = made.beside_it("proxy", made.compose["services"]["proxy"]["entrypoint"])
    context = ssl.create_default_context(cafile=str(made.beside / "secrets/TLS_CERTIFICATE"))
    base = f"https://{DOMAIN}:8443"

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=5, context=context) as answer:
                return answer.status == 200 and "max-age" in answer.headers["Strict-Transport-Security"]
        except OSError:
            return False

    until("the proxy answers", healthy, running["proxy"], made.log("proxy"))
    must("the proxy answers over TLS, under its name, and says that it is to be used alone", True)
    must("plain http is sent there", _location(f"http://{DOMAIN}:8080/x") == f"https://{DOMAIN}/x")
    must("metrics are not shown outside", _status(f"{base}/metrics", context) == 404)
    must("another name is refused", _status(f"{base}/health", context, host="elsewhere.example") == 403)
    for number in (1, 2, 3):
        (made.work / f"{number}.dcm").write_bytes(client.dicom(number=number))
    key = json.loads(
        made.insula(
            "users",
            "key",
            "ada",
            "--label",
            "try",
            *_scopes("study.read", "study.write", "study.predict", "project.manage", "job.read"),
            "--days",
            "1",
            "--json",
        )
    )
    env = os.environ | {
        "INSULA_REMOTE": base,
        "INSULA_REMOTE_KEY": key["key"],
        "SSL_CERT_FILE": str(made.beside / "secrets/TLS_CERTIFICATE"),
    }
    started = time.monotonic()
    words = [
        str(ROOT / ".venv/bin/insula"),
        "remote",
        "predict",
        str(made.work / "1.dcm"),
        "--project",
        "Heads",
        "--patient",
        "p1",
        "--json",
    ]
    said = subprocess.run(words, env=env, text=True, capture_output=True, timeout=180, cwd=made.work)
    must(
        "a study goes in by the proxy and the worker predicts it",
        said.returncode == 0,
        said.stdout + said.stderr + _tail(made, "worker"),
    )
    took = time.monotonic() - started
    return {"seconds from upload to prediction through the proxy, one slice": round(took, 1)}


def _scopes(*names: str) -> list[str]:
    return [word for name in names for word in ("--scope", name)]


def _watched(made: _Services, running: dict[str, subprocess.Popen[str]]) -> None:
    """Prometheus with compose's command, files and secret."""
    command = [
        *made.compose["services"]["prometheus"]["command"],
        f"--web.listen-address=127.0.0.{NAMES['prometheus']}:9090",
    ]
    running["prometheus"] = made.beside_it("prometheus", ["prometheus", *command])

    def value(query: str) -> float | None:
        try:
            with urllib.request.urlopen(f"http://prometheus:9090/api/v1/query?query={query}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    until("Prometheus sees the service", lambda: value("up") == 1.0, running["prometheus"], made.log("prometheus"))
    must("Prometheus reads the service's metrics with its key", (value("sum(insula_requests_total)") or 0) > 0)
    must("and the jobs that are done", (value("max(insula_jobs%7Bstate=%22done%22%7D)") or 0) >= 1)


def _node(made: _Services, running: dict[str, subprocess.Popen[str]]) -> None:
    running["node"] = made.begin("node")
    check = made.compose["services"]["node"]["healthcheck"]["test"][1:]
    until(
        "the node is healthy",
        lambda: run(made.room("node"), check, check=False).returncode == 0,
        running["node"],
        made.log("node"),
    )
    must("the node is healthy by its own check", True)
    echo = "from pynetdicom import AE; a = AE('{0}'); a.add_requested_context('1.2.840.10008.1.1'); "
    echo += "o = a.associate('node', 11112, ae_title='INSULA'); print(o.is_established and o.send_c_echo().Status)"
    said = [
        run(made.room("service"), ["python", "-c", echo.format(title)]).stdout.strip()
        for title in ("ORTHANC", "NOBODY")
    ]
    must("it answers who may call (C-ECHO), and nobody else", said == ["0", "False"], str(said))


def _orthanc(made: _Services, running: dict[str, subprocess.Popen[str]]) -> None:
    """Orthanc with the files of containers/, and each of the two asks the other whether it is there (C-ECHO)."""
    service = made.compose["services"]["orthanc"]
    (made.neighbours / "var/lib/orthanc").chmod(
        0o755
    )  # of Debian's package it is Orthanc's own user's; of images, root's
    running["orthanc"] = made.beside_it("orthanc", [*service["entrypoint"], *service["command"]])
    users = json.loads((made.beside / "secrets/ORTHANC_USERS").read_text())["RegisteredUsers"]
    given = base64.b64encode(f"admin:{users['admin']}".encode()).decode()
    base = f"http://orthanc:{service['ports'][0].split(':')[-1]}"

    def asked(path: str, body: bytes | None = None, **headers: str) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(base + path, body, headers), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)
        except OSError:
            return 0

    until("Orthanc answers", lambda: asked("/system") != 0, running["orthanc"], made.log("orthanc"))
    must("Orthanc asks for a password", asked("/system") == 401)
    must("and lets in who has it", asked("/dicom-web/studies", Authorization=f"Basic {given}") == 200)
    must("it reaches the node", asked("/modalities/insula/echo", b"{}", Authorization=f"Basic {given}") == 200)
    said = json.loads(made.insula("pacs", "echo", "archive", "--json"))
    must("the service reaches it, as the peer of .env.example", bool(said), str(said))


def _location(url: str) -> str:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(url, timeout=10)
    except urllib.error.HTTPError as error:
        return str(error.headers["Location"])
    return ""


def _status(url: str, context: ssl.SSLContext, host: str = "") -> int:
    try:
        asked = urllib.request.Request(url, headers={"Host": host} if host else {})
        with urllib.request.urlopen(asked, timeout=30, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def _tail(made: _Services, name: str) -> str:
    return made.log(name).read_text()[-2500:]
