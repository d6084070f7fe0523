"""What deploy/ has for Kubernetes, ECS and Slurm: valid by their schemas, and in agreement with docker-compose.yml."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun

from tests.examples import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
FILES = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
MANIFESTS: list[dict[str, Any]] = [
    one for name in FILES for one in yaml.safe_load_all((KUBERNETES / name).read_text()) if one is not None
]
WORKLOADS = [one for one in MANIFESTS if one["kind"] in ("Deployment", "StatefulSet", "Job")]
TEMPLATE: dict[str, Any] = json.loads((KUBERNETES / "job-template.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
VERSIONS = ("1.30", "1.37")
SPOT = {
    "node_selector": {"eks.amazonaws.com/capacityType": "SPOT"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
}


def _ids(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _validate(manifest: dict[str, Any]) -> None:
    """Compare a manifest with the schemas of Kubernetes, in which no unknown field is allowed."""
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="the schemas of Kubernetes are not installed (pip install kubernetes-validate)"
    )
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=_ids)
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    _validate(manifest)


def test_a_mistake_would_be_found() -> None:
    (job,) = [one for one in MANIFESTS if one["kind"] == "Job"]
    _validate(job)
    wrong = json.loads(json.dumps(job))
    wrong["spec"]["template"]["spec"]["restartpolicy"] = "Never"
    with pytest.raises(Exception, match="restartpolicy"):
        _validate(wrong)


def test_all_of_it_is_put_together() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, which puts the parts together (kubectl kustomize)")
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=True)
    built = [one for one in yaml.safe_load_all(done.stdout) if one is not None]
    assert {one["metadata"].get("namespace", "metaclip") for one in built} == {"metaclip"}
    images = {each["image"] for one in built if one["kind"] in ("Deployment", "Job") for each in _containers(one)}
    assert not [image for image in images if image.endswith("/metaclip")], "an image without a tag"
    (pool,) = [one for one in built if one["metadata"]["name"] == "metaclip-pool"]
    assert json.loads(pool["data"]["job-template.json"]) == TEMPLATE
    for one in built:
        _validate(one)


def _pod(manifest: dict[str, Any]) -> dict[str, Any]:
    return dict(manifest["spec"]["template"]["spec"])


def _containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return list(_pod(manifest)["containers"])


@pytest.mark.parametrize(
    "manifest", [*WORKLOADS, TEMPLATE["job_configuration"]["job_manifest"]], ids=lambda one: one["kind"]
)
def test_pods_may_do_no_more_than_they_must(manifest: dict[str, Any]) -> None:
    """What the namespace enforces: the Pod Security Standard `restricted`, and bounds."""
    pod = _pod(manifest)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    name = pod.get("serviceAccountName")
    assert name == "prefect-worker" or pod["automountServiceAccountToken"] is False
    # Otherwise the variables of the service `prefect`, such as PREFECT_PORT, would be settings of Prefect.
    assert manifest["kind"] == "StatefulSet" or pod["enableServiceLinks"] is False


@pytest.mark.parametrize("manifest", [one for one in WORKLOADS if one["kind"] != "Job"], ids=_ids)
def test_what_stays_is_probed(manifest: dict[str, Any]) -> None:
    for container in _containers(manifest):
        assert "livenessProbe" in container
    assert (
        manifest["spec"]["selector"]["matchLabels"].items()
        <= manifest["spec"]["template"]["metadata"]["labels"].items()
    )


def test_services_lead_to_pods_and_probes_to_ports() -> None:
    by_app = {one["spec"]["template"]["metadata"]["labels"]["app"]: one for one in WORKLOADS}
    for service in (one for one in MANIFESTS if one["kind"] == "Service"):
        ports = {port["containerPort"] for port in _containers(by_app[service["spec"]["selector"]["app"]])[0]["ports"]}
        assert {port["port"] for port in service["spec"]["ports"]} <= ports
    for manifest in WORKLOADS:
        for container in _containers(manifest):
            names = {port["name"] for port in container.get("ports", [])}
            probes = [probe for name, probe in container.items() if name.endswith("Probe")]
            assert {probe[way]["port"] for probe in probes for way in ("httpGet", "tcpSocket") if way in probe} <= names


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env", [])}


def test_the_server_is_that_of_the_compose_file() -> None:
    (server,) = [one for one in WORKLOADS if one["metadata"]["name"] == "prefect"]
    (container,) = _containers(server)
    theirs = COMPOSE["prefect"]
    assert container["image"] == theirs["image"]
    assert " ".join(container["command"]) == theirs["command"]
    ours = _variables(container)
    secrets = {"PREFECT_SERVER_DATABASE_PASSWORD", "PREFECT_SERVER_API_AUTH_STRING"}
    assert {name: value for name, value in theirs["environment"].items() if name not in secrets} == {
        name: value for name, value in ours.items() if name not in secrets
    }
    (postgres,) = [one for one in WORKLOADS if one["kind"] == "StatefulSet"]
    assert _containers(postgres)[0]["image"] == COMPOSE["postgres"]["image"]


def test_workers_wait_for_the_server_as_those_of_the_compose_file_do() -> None:
    given = dict(line.split("=", 1) for line in (KUBERNETES / "metaclip.env").read_text().split())
    theirs = COMPOSE["worker"]["environment"]
    own = {"PREFECT_API_AUTH_STRING", "PREFECT_WORKER_WEBSERVER_HOST", "AWS_ENDPOINT_URL_S3"}
    secret = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert given == {name: value for name, value in theirs.items() if name not in own | secret}


def test_secrets_are_those_of_the_example() -> None:
    example = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    asked = [
        each["valueFrom"]["secretKeyRef"]
        for one in WORKLOADS
        for container in _containers(one)
        for each in container.get("env", [])
        if "valueFrom" in each
    ]
    assert {each["name"] for each in asked} == {"metaclip"}
    assert {each["key"] for each in asked} <= example
    plain = json.dumps([MANIFESTS, TEMPLATE])
    assert "AWS_SECRET_ACCESS_KEY" not in plain


def _job(values: dict[str, Any]) -> dict[str, Any]:
    """Return the job that Prefect's own worker would make of the template."""
    worker = pytest.importorskip(
        "prefect_kubernetes.worker", reason="prefect-kubernetes is not installed (pip install prefect-kubernetes)"
    )
    configuration = worker.KubernetesWorkerJobConfiguration
    made = asyncio.run(configuration.from_template_and_values(TEMPLATE, values))
    made.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="demo"))
    return dict(made.job_manifest)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")  # the template is filled in by a client of Prefect
@pytest.mark.parametrize("more", [{}, SPOT, {"cpu": "16", "memory": "64Gi"}], ids=["plain", "spot", "large"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_prefect_makes_valid_jobs_of_the_template(deployment: dict[str, Any], more: dict[str, Any]) -> None:
    values = deployment["work_pool"]["job_variables"] | more
    assert values.keys() <= TEMPLATE["variables"]["properties"].keys()
    job = _job(values)
    pod = job["spec"]["template"]["spec"]
    # Prefect insists on these two here, where Kubernetes has no such fields and drops them.
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    _validate(job)
    (container,) = pod["containers"]
    assert container["args"][:2] == ["prefect", "flow-run"]
    variables = _variables(container)
    assert variables["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert container["resources"]["limits"]["cpu"] == values.get("cpu", "4")
    assert pod["nodeSelector"] == more.get("node_selector", {})
    assert pod["tolerations"] == more.get("tolerations", [])


def test_every_variable_of_the_template_is_used_and_described() -> None:
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(TEMPLATE["job_configuration"])))
    properties = TEMPLATE["variables"]["properties"]
    assert used == properties.keys()
    assert all(each["description"] and "default" in each for each in properties.values())


@pytest.mark.parametrize(
    ("file", "call"), [("ecs-worker.json", "RegisterTaskDefinition"), ("ecs-service.json", "CreateService")]
)
def test_ecs_takes_the_definitions(file: str, call: str) -> None:
    given = json.loads((ROOT / "deploy" / file).read_text())
    shape = botocore.session.get_session().get_service_model("ecs").operation_model(call).input_shape
    assert ParamValidator().validate(given, shape).generate_report() == ""
    assert "cannot be" not in json.dumps(given)
    wrong = {**given, "desiredcount": 4}
    assert ParamValidator().validate(wrong, shape).has_errors()


def test_the_ecs_worker_is_that_of_the_compose_file() -> None:
    task = json.loads((ROOT / "deploy/ecs-worker.json").read_text())
    (container,) = task["containerDefinitions"]
    assert " ".join(container["command"]) == COMPOSE["shards"]["command"]
    assert container["healthCheck"]["command"] == COMPOSE["shards"]["healthcheck"]["test"]
    service = json.loads((ROOT / "deploy/ecs-service.json").read_text())
    assert service["taskDefinition"] == task["family"]


# Slurm: its script is run by bash, where a stand-in for sbatch takes the scheduler's place.

SBATCH = """#!/bin/bash
# Reads the script's own options, and runs it for each number of the array, with what Slurm gives to a job.
for last; do :; done
grep -c '^#SBATCH --[a-z-]*' "$last" > /dev/null || exit 1
range=${1#--array=}
for number in $(seq "${range%-*}" "${range#*-}"); do
  SLURM_JOB_ID=$((700 + number)) SLURM_ARRAY_JOB_ID=700 SLURM_ARRAY_TASK_ID=$number SLURM_SUBMIT_DIR=$PWD \\
    bash "$last" > "$LOGS/$number.log" 2>&1 &
  echo $! >> "$LOGS/pids"
done
echo "Submitted batch job 700"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Have sbatch on the path, and a folder with the environment in it; the variables of the user's shell."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").write_text(SBATCH)
    (tmp_path / "bin/sbatch").chmod(0o755)
    (tmp_path / "home/.venv").mkdir(parents=True)
    (tmp_path / "home/.venv/bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "tmp").mkdir()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "METACLIP"))},
        "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}",
        "LOGS": str(tmp_path),
        "METACLIP_TMP": str(tmp_path / "tmp"),
        "METACLIP_STORAGE": str(tmp_path / "pool"),
    }


def test_the_slurm_script_says_what_it_misses(slurm: dict[str, str], tmp_path: Path) -> None:
    without = {name: value for name, value in slurm.items() if name != "METACLIP_STORAGE"} | {"PREFECT_API_URL": "x"}
    script = str(ROOT / "deploy/slurm-worker.sh")
    done = subprocess.run(["bash", script], env=without, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "set METACLIP_STORAGE to the store" in done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_an_array_of_slurm_is_as_many_workers(slurm: dict[str, str], tmp_path: Path, prefect_server: str) -> None:
    home = tmp_path / "home"
    environment = slurm | {"PREFECT_API_URL": prefect_server, "PREFECT_WORKER_HEARTBEAT_SECONDS": "5"}
    with get_client(sync_client=True) as client:
        if not [pool for pool in client.read_work_pools() if pool.name == "metaclip"]:
            client.create_work_pool(WorkPoolCreate(name="metaclip", type="process"))
        command = ["sbatch", "--array=0-1", str(ROOT / "deploy/slurm-worker.sh")]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "Submitted batch job 700\n"
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        try:
            wanted = {"slurm-700-0", "slurm-700-1"}
            deadline = time.monotonic() + 120
            while not wanted <= {worker.name for worker in client.read_workers_for_work_pool("metaclip")}:
                assert time.monotonic() < deadline, [path.read_text() for path in tmp_path.glob("*.log")]
                time.sleep(0.5)
            assert len(list((tmp_path / "tmp").iterdir())) == 2  # each has a folder of its own
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGTERM)  # as Slurm does before the time is up
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.2)
    assert list((tmp_path / "tmp").iterdir()) == []
