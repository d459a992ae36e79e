"""Facts that stand twice, in the program and in the files that run it, are the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.house.test_documents import command
from tests.house.walk import ROOT

pytest.importorskip("pydantic_settings", reason="the service's parts are not installed")

from scripts import compose_read, image_build, image_steps

from insula import __version__
from insula.serve.monitor import metrics
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.pacs.settings import PacsSettings
from insula.serve.people.settings import PeopleSettings
from insula.serve.secret_files import VARIABLE
from insula.serve.settings import Settings

pytestmark = pytest.mark.serve

CONTAINERS, CLUSTER, UNITS = ROOT / "containers", ROOT / "deploy/kubernetes", ROOT / "deploy/systemd"
LIGHT = image_steps.config(image_steps.stages(CONTAINERS / "Dockerfile")[-1])
TRAIN = image_steps.config(image_steps.stages(CONTAINERS / "Dockerfile.train")[-1])
ASKED = compose_read.env_file(CONTAINERS / ".env.example")
COMPOSE: dict[str, Any] = compose_read.read(CONTAINERS / "compose.yaml", ASKED)
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == ASKED["INSULA_IMAGE"]}
OBJECTS: list[dict[str, Any]] = [
    one for path in sorted(CLUSTER.rglob("*.yaml")) for one in yaml.safe_load_all(path.read_text()) if "kind" in one
]
PODS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in OBJECTS if one["kind"] in ("Deployment", "Job")
}
READ_BY = {
    f"{kind.model_config['env_prefix']}{name}".upper()
    for kind in (Settings, MonitorSettings, PeopleSettings, PacsSettings)
    for name in kind.model_fields
} | {VARIABLE}
# what compose.yaml asks for itself, and no process of Insula is given
OF_COMPOSE = {
    "INSULA_DOMAIN",
    "INSULA_BUNDLES",
    "INSULA_IMAGE",
    "INSULA_DICOM_ADDRESS",
    "INSULA_HTTPS_PORT",
    "INSULA_HTTP_PORT",
}
UPLOAD = int(COMPOSE["services"]["service"]["environment"]["INSULA_MAX_UPLOAD_MB"])


def texts() -> dict[str, str]:
    places = [path for folder in (CONTAINERS, ROOT / "deploy") for path in sorted(folder.rglob("*"))]
    wanted = [path for path in places if path.is_file() and not {"secrets", "bundles"} & set(path.parts)]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in wanted}


def test_every_variable_that_is_set_is_one_that_is_read() -> None:
    named = {name for text in texts().values() for name in re.findall(r"\bINSULA_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert {"INSULA_DATABASE", "INSULA_PACS_RULES", "INSULA_HOSTS"} <= named
    assert named - READ_BY - OF_COMPOSE == set()


def test_ports_are_those_that_the_program_listens_on() -> None:
    web, dicom = Settings.model_fields["port"].default, PacsSettings.model_fields["port"].default
    assert sorted(LIGHT.ports) == sorted([web, dicom])
    assert f":{web}" in LIGHT.healthcheck[-1]
    assert f"http://service:{web};" in (CONTAINERS / "nginx.conf").read_text()
    assert f'"service:{web}"' in (CONTAINERS / "prometheus.yml").read_text()
    assert COMPOSE["services"]["node"]["ports"] == [f"127.0.0.1:{dicom}:{dicom}"]
    ports = {
        port["name"]: port["containerPort"] for pod in PODS.values() for port in pod["containers"][0].get("ports", ())
    }
    assert ports == {"http": web, "dicom": dicom}
    orthanc = yaml.safe_load((CONTAINERS / "orthanc.json").read_text())
    assert orthanc["DicomModalities"]["insula"] == [PacsSettings.model_fields["ae_title"].default, "node", dicom]


def test_nobody_is_root_and_all_are_the_same_user() -> None:
    uid = LIGHT.user.partition(":")[0]
    assert uid == TRAIN.user.partition(":")[0] == "10001"
    assert {one["user"] for one in OURS.values()} == {LIGHT.user}
    for pod in PODS.values():
        own = pod["securityContext"]
        assert (own["runAsUser"], own["runAsGroup"], own["fsGroup"], own["runAsNonRoot"]) == (10001, 10001, 10001, True)
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_of_compose_can_do_no_more_than_it_has_to(name: str) -> None:
    one = COMPOSE["services"][name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "cap_add" not in one
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert set(one["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert ":" in one["image"]
    assert not one["image"].endswith(":latest")
    assert set(one["networks"]) <= set(COMPOSE["networks"])
    if "outside" not in one["networks"] and "hospital" not in one["networks"]:
        assert all(COMPOSE["networks"][network].get("internal") for network in one["networks"])
        assert "ports" not in one


@pytest.mark.parametrize("name", sorted(PODS))
def test_a_container_of_the_cluster_can_do_no_more_than_it_has_to(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    mounted = {volume["name"] for volume in pod["volumes"]}
    for one in pod["containers"]:
        own = one["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(one["resources"]) == {"requests", "limits"}
        assert {mount["name"] for mount in one["volumeMounts"]} == mounted
        assert {"/tmp", "/dev/shm"} <= {mount["mountPath"] for mount in one["volumeMounts"]}


def test_in_the_cluster_nothing_passes_that_is_not_named() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"]
        for one in OBJECTS
        if one["kind"] == "NetworkPolicy" and "podSelector" in one["spec"]
    }
    assert policies["insula-nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for spec in policies.values():
        for rule in (*spec.get("egress", ()), *spec.get("ingress", ())):
            assert rule.get("ports")
            assert rule.get("to") or rule.get("from")


def test_commands_are_commands_of_insula() -> None:
    lines = [[*LIGHT.entrypoint[1:], *LIGHT.cmd], LIGHT.healthcheck[1:], [*TRAIN.cmd]]
    lines += [one["command"] for one in OURS.values()]
    lines += [pod["containers"][0]["args"] for pod in PODS.values()]
    for path in UNITS.glob("*.service"):
        found = re.search(r"^ExecStart=.*?/opt/insula/bin/insula ([^'\n]*)", path.read_text(), re.MULTILINE)
        assert found, path.name
        lines.append(re.sub(r'"[^"]*(\$\([^)]*\))?[^"]*"', "x", found[1]).split())
    assert len(lines) > 12
    assert LIGHT.entrypoint == TRAIN.entrypoint == ["insula"]
    for line in lines:
        verb, words = command(" ".join(line))
        assert verb.make_context(str(verb.name), list(words)).command is verb


def test_proxies_let_through_what_the_service_takes_and_wait_as_long() -> None:
    text = (CONTAINERS / "nginx.conf").read_text()
    assert f"client_max_body_size {UPLOAD + 1}m;" in text
    ingress = next(one for one in OBJECTS if one["kind"] == "Ingress")["metadata"]["annotations"]
    assert ingress["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{UPLOAD + 1}m"
    settings = next(one for one in OBJECTS if one["kind"] == "ConfigMap")["data"]
    assert int(settings["INSULA_MAX_UPLOAD_MB"]) == UPLOAD == Settings.model_fields["max_upload_mb"].default
    longest = sum(
        float(Settings.model_fields[name].default) for name in ("wait_seconds", "read_seconds", "engine_seconds")
    )
    waits = [int(seconds) for seconds in re.findall(r"proxy_read_timeout (\d+)s;", text)]
    assert waits
    assert min(waits) > longest
    assert int(ingress["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > longest


def test_metrics_that_rules_ask_for_are_told() -> None:
    told = {f"insula_{one}" for one in re.findall(r"insula_(\w+)", Path(metrics.__file__).read_text())}
    rules = (CONTAINERS / "alerts.yml").read_text() + (CLUSTER / "overlays/scaled/workers.yaml").read_text()
    asked = set(re.findall(r"insula_\w+", rules))
    assert "insula_jobs_due" in asked
    assert {name.removesuffix("_total") for name in asked} <= told


def test_secrets_are_made_by_the_script_and_stand_in_no_file_and_no_environment() -> None:
    made = set(re.findall(r"\| make (\w+)", (CONTAINERS / "make-secrets").read_text())) | {"TLS_CERTIFICATE", "TLS_KEY"}
    assert set(COMPOSE["secrets"]) == made
    secret = re.compile(r"KEY$|PASSWORD$|SECRET$|DATABASE$")
    for one in COMPOSE["services"].values():
        assert not [name for name in one.get("environment", {}) if secret.search(name)]
    for one in OBJECTS:
        assert one["kind"] != "Secret"
        assert not [name for name in one.get("data", {}) if secret.search(name)]
    assert {"INSULA_DATABASE", "INSULA_TRAIL_KEY"} <= set(OURS["worker"]["secrets"])


def test_versions_of_images_stand_in_one_way() -> None:
    text = (CONTAINERS / "compose.yaml").read_text()
    for name, otherwise in re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", text):
        assert ASKED[name] == otherwise
    bases = {
        stage.base for file in ("Dockerfile", "Dockerfile.train") for stage in image_steps.stages(CONTAINERS / file)
    }
    assert bases == {ASKED["PYTHON_IMAGE"], ASKED["NODE_IMAGE"]}
    tags = [
        one["newTag"]
        for path in CLUSTER.rglob("kustomization.yaml")
        for one in yaml.safe_load(path.read_text()).get("images", ())
    ]
    assert tags == [__version__]


def test_an_end_is_waited_for_longer_than_the_service_takes() -> None:
    assert LIGHT.stopsignal == "SIGTERM"
    taken = re.search(r"timeout_graceful_shutdown=(\d+)", (ROOT / "src/insula/serve/run.py").read_text())
    assert taken
    assert {int(one["stop_grace_period"].rstrip("s")) > int(taken[1]) for one in OURS.values()} == {True}
    assert PODS["insula-service"]["terminationGracePeriodSeconds"] > int(taken[1])


def test_the_builder_is_sent_what_the_image_is_made_of_and_no_more() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    for name in (
        "src/insula/cli/main.py",
        "web/src/pages/viewer.ts",
        "docs/api.md",
        "constraints.txt",
        "web/package.json",
    ):
        assert image_build.sent(name, rules), name
    for name in ("containers/secrets/INSULA_TRAIL_KEY", "containers/.env", "runs/demo/bundle/model.onnx",
                 "tests/conftest.py",
                 "src/insula/cli/__pycache__/main.cpython-311.pyc", "src/insula/serve/web/built/main.js", ".git/config",
                 "web/node_modules/x/index.js"):  # fmt: skip
        assert not image_build.sent(name, rules), name
    copied = [word for file in ("Dockerfile", "Dockerfile.train") for stage in image_steps.stages(CONTAINERS / file)
              for step, text in stage.steps if step == "COPY" and not text.startswith("--from")
              for word in text.split()[:-1]]  # fmt: skip
    for name in copied:
        assert (ROOT / name).exists(), name


def test_an_unknown_instruction_is_not_passed_over() -> None:
    with pytest.raises(image_steps.UnknownStepError, match="ADD"):
        list(image_steps.instructions("FROM x\nADD a b\n"))
    with pytest.raises(image_steps.UnknownStepError, match="JSON"):
        image_steps.command("insula serve")


@pytest.mark.parametrize("name", ["service", "worker"])
def test_a_task_of_amazon_is_one_that_its_interface_takes(name: str) -> None:
    session = pytest.importorskip("botocore.session")
    validate = pytest.importorskip("botocore.validate")
    task = json.loads((ROOT / f"deploy/aws/{name}.json").read_text())
    model = session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    assert validate.ParamValidator().validate(task, model).generate_report() == ""
    assert "memory_" in validate.ParamValidator().validate(task | {"memory_": "1"}, model).generate_report()
    (one,) = task["containerDefinitions"]
    assert one["command"] == OURS[name]["command"]
    assert one["user"] == LIGHT.user
    assert {pair["name"] for pair in one["environment"]} - {"AWS_REGION", "OMP_NUM_THREADS"} <= READ_BY
    assert {pair["name"] for pair in one["secrets"]} == {"INSULA_DATABASE", "INSULA_TRAIL_KEY"}
    assert one.get("healthCheck", {}).get("command", ["CMD", *LIGHT.healthcheck]) == ["CMD", *LIGHT.healthcheck]
