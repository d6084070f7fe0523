"""The compose file, the example of its secrets and the deployments agree with each other and the code."""

import importlib
import importlib.metadata
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.flows import Flow

from tests.services import AWKWARD, Stack

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


TEXT = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
PREPARE = runpy.run_path(str(ROOT / "deploy/prepare.py"))
every_service = pytest.mark.parametrize("name", COMPOSE["services"])


@every_service
def test_services_are_pinned_checked_and_local(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "build" in service or re.search(r":\d+\.\d+", service["image"])
    assert name == "prepare" or service["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert all(other in COMPOSE["services"] for other in service.get("depends_on", {}))


@every_service
def test_services_are_bounded_and_may_do_no_more_than_they_must(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]|\$\{\w+:-\d+g\}", service["mem_limit"])
    assert service.get("read_only", False) or name in ("worker", "shards")
    added = {"postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}, "s3": {"DAC_OVERRIDE"}}
    assert set(service.get("cap_add", [])) == added.get(name, set())
    assert service["pids_limit"] <= 2000
    assert int(service["logging"]["options"]["max-file"]) <= 5
    assert not set(service) & {"privileged", "pid", "ipc", "devices", "env_file"}
    assert not any("/var/run/docker.sock" in volume for volume in service.get("volumes", []))


@every_service
def test_services_come_back_by_themselves_except_the_one_that_is_to_end(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
    check = service.get("healthcheck", {"interval": "5s", "timeout": "5s", "retries": 1})
    assert check["retries"] >= 1
    assert re.fullmatch(r"\d+s", check["interval"])
    assert re.fullmatch(r"\d+s", check["timeout"])


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_runs_survive_the_server(deployment: dict[str, Any]) -> None:
    variables = deployment["work_pool"]["job_variables"]["env"]
    # Waits of 2, 4, 8, ... seconds: at least five minutes in all.
    assert sum(2**attempt for attempt in range(1, int(variables["PREFECT_CLIENT_MAX_RETRIES"]) + 1)) >= 300
    assert "500" in variables["PREFECT_CLIENT_RETRY_EXTRA_CODES"].split(",")
    assert int(variables["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) >= 30
    assert "concurrency_limit" not in deployment
    for name in ("worker", "shards"):
        own = COMPOSE["services"][name]["environment"]
        assert {key: own[key] for key in variables if key in own} == {
            key: value for key, value in variables.items() if "CLIENT" in key
        }


def test_automations_are_those_of_prefect_and_every_run_is_covered() -> None:
    gone, again = runpy.run_path(str(ROOT / "deploy/automations.py"))["wanted"]()
    frequency = DEPLOYMENTS[0]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert gone.trigger.within.total_seconds() >= 3 * int(frequency)
    told = runpy.run_path(str(ROOT / "deploy/automations.py"))["wanted"](uuid4())
    assert [action.type for one in told for action in one.actions] == ["change-flow-run-state"] * 2 + [
        "call-webhook"
    ] * 3
    supervisors = {one["name"] for one in DEPLOYMENTS if one["work_pool"]["work_queue_name"] == "parents"}
    assert set(again.trigger.match_related.root["prefect.resource.name"]) == supervisors - {"build-metadata"}


def test_services_meet_only_those_that_they_talk_to() -> None:
    networks = {name: set(service.get("networks", [])) for name, service in COMPOSE["services"].items()}
    assert COMPOSE["services"]["prepare"]["network_mode"] == "none"
    assert networks["postgres"] == {"database"}
    assert networks["s3"] == {"storage"}
    assert networks["prefect"] == {"database", "api"}
    assert networks["worker"] == networks["shards"] == {"api", "storage"}
    assert COMPOSE["networks"]["database"] == {"internal": True}


@every_service
def test_nothing_starts_before_the_secrets_are_checked(name: str) -> None:
    before = {name}
    while True:
        more = {other for one in before for other in COMPOSE["services"][one].get("depends_on", {})}
        if more <= before:
            break
        before |= more
    assert "prepare" in before
    waited = COMPOSE["services"][name].get("depends_on", {}).get("prepare", {})
    assert waited.get("condition", "service_completed_successfully") == "service_completed_successfully"


def test_every_secret_must_be_given_and_is_blank_in_the_example() -> None:
    used = re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", TEXT)
    required = {name for name, rest in used if rest.startswith(":?")}
    assert {name for name, rest in used if not rest.startswith(":?")} == {"WORKER_MEMORY"}
    given = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.M))
    assert required == set(given)
    assert set(given.values()) == {"''"}


def test_no_secret_is_part_of_a_command_or_an_address() -> None:
    for service in COMPOSE["services"].values():
        assert "${" not in json.dumps([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
        for name, value in service.get("environment", {}).items():
            assert "${" not in value or re.fullmatch(r"\$\{[^{}]*\}", value), name


def test_the_image_holds_no_secret_and_runs_as_no_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith(("USER", "CMD"))] == [
        "USER metaclip",
        'CMD ["metaclip", "--help"]',
    ]
    # The processor that kernels are compiled for, and nothing else.
    assert [line for line in lines if line.startswith(("ARG", "ENV", "ADD"))] == [
        "ARG PROCESSOR=x86-64-v3",
        'ENV NUMBA_CPU_NAME=$PROCESSOR NUMBA_CPU_FEATURES=""',
    ]
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert not copied & {".", ".env"}
    assert {".env", ".git"} <= set((ROOT / ".dockerignore").read_text().split())


GOOD = {
    "POSTGRES_PASSWORD": f"{AWKWARD}-postgres",
    "PREFECT_AUTH": f"admin:{AWKWARD}-prefect",
    "AWS_ACCESS_KEY_ID": "metaclip",
    "AWS_SECRET_ACCESS_KEY": f"{AWKWARD}-s3",
}


def test_good_secrets_are_taken_whatever_they_hold() -> None:
    assert list(PREPARE["faults"](GOOD)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"POSTGRES_PASSWORD": ""}, "POSTGRES_PASSWORD: the password must have"),
        ({"POSTGRES_PASSWORD": "change-me"}, "POSTGRES_PASSWORD: this is a placeholder"),
        ({"POSTGRES_PASSWORD": "Change-Me-change-me"}, "POSTGRES_PASSWORD: this is a placeholder"),
        ({"POSTGRES_PASSWORD": "a long one\nof two lines"}, "POSTGRES_PASSWORD: holds a character"),
        ({"PREFECT_AUTH": "admin:change-me"}, "PREFECT_AUTH: this is a placeholder"),
        ({"PREFECT_AUTH": "0123456789abcdef"}, "PREFECT_AUTH: write user:password"),
        ({"PREFECT_AUTH": ":0123456789abcdef"}, "PREFECT_AUTH: write user:password"),
        ({"AWS_SECRET_ACCESS_KEY": "short"}, "AWS_SECRET_ACCESS_KEY: the password must have"),
        ({"AWS_SECRET_ACCESS_KEY": GOOD["POSTGRES_PASSWORD"]}, "two secrets are the same"),
        ({"AWS_ACCESS_KEY_ID": "a/b/c"}, "AWS_ACCESS_KEY_ID: at least 3 letters"),
    ],
)
def test_secrets_that_protect_nothing_are_refused(change: dict[str, str], told: str) -> None:
    found = list(PREPARE["faults"]({**GOOD, **change}))
    assert any(fault.startswith(told) for fault in found)
    assert not any(value in fault for fault in found for value in change.values() if len(value) > 6)


def _prepare(folder: Path, **change: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **GOOD, **change}
    command = [sys.executable, "deploy/prepare.py", str(folder)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_what_seaweedfs_reads_is_written_for_it_alone_and_keys_stay(tmp_path: Path) -> None:
    refused = _prepare(tmp_path, PREFECT_AUTH="admin:change-me")
    assert refused.returncode == 1
    assert "correct .env:\nPREFECT_AUTH" in refused.stderr
    assert list(tmp_path.iterdir()) == []

    assert _prepare(tmp_path).returncode == 0
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    (identity,) = json.loads((tmp_path / "s3.json").read_text())["identities"]
    assert identity["credentials"] == [
        {"accessKey": GOOD["AWS_ACCESS_KEY_ID"], "secretKey": GOOD["AWS_SECRET_ACCESS_KEY"]}
    ]
    settings = tomllib.loads((tmp_path / "security.toml").read_text())["grpc"]
    assert set(settings) == {"ca", "master", "volume", "filer", "s3", "client"}
    before = (tmp_path / "key.pem").read_bytes()

    assert _prepare(tmp_path, AWS_SECRET_ACCESS_KEY="another one of them").returncode == 0
    assert "another one of them" in (tmp_path / "s3.json").read_text()
    assert (tmp_path / "key.pem").read_bytes() == before


def test_volumes_are_declared() -> None:
    used = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_prefect_is_the_locked_one() -> None:
    (version,) = re.findall(r"^prefect==([\d.]+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert f":{version}-" in COMPOSE["services"]["prefect"]["image"]
    assert f"prefect-version: {version}" in (ROOT / "prefect.yaml").read_text()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_deployments_name_flows_and_fit_their_parameters(deployment: dict[str, Any]) -> None:
    path, name = deployment["entrypoint"].split(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    if deployment["name"] in ("curate", "build-metadata"):  # the others' defaults leave something to be filled in
        flow.validate_parameters(deployment["parameters"])
    assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
    assert all(schedule["active"] is False for schedule in deployment.get("schedules", []))


def test_nothing_beside_an_entrypoint_is_named_like_a_module_of_others() -> None:
    """Prefect puts the folder of an entrypoint first on the path of modules, and leaves it there."""
    folders = {(ROOT / deployment["entrypoint"].split(":")[0]).parent for deployment in DEPLOYMENTS}
    assert len(folders) > 1
    names = {path.stem for folder in folders for path in folder.iterdir() if path.stem not in ("__init__", "__main__")}
    others = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions()}
    assert names & others == set()


def test_the_form_of_rebalance_has_few_fields() -> None:
    flow = importlib.import_module("flows.rebalance").rebalance
    fields = flow.parameters.properties
    assert list(fields) == [
        *("pool", "storage", "t", "target_pairs", "tail_share", "seed"),
        *("survivors", "survivors_name", "language_t", "images", "image_settings"),
    ]
    assert flow.parameters.required == ["pool", "storage"]
    assert all(len(field["description"]) > 10 for field in fields.values())


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "postgres"])
def test_what_the_end_to_end_test_starts_is_what_the_file_says(name: str, tmp_path: Path) -> None:
    command, environment, check = Stack(tmp_path).prepare(name)
    service = COMPOSE["services"][name]
    assert set(service.get("environment", {})) <= set(environment)
    said = service["command"] if isinstance(service["command"], str) else " ".join(service["command"])
    asked, done = ({word for word in text.split() if word.isalpha()} for text in (said, " ".join(command)))
    assert asked <= done
    # Every address and secret of the containers has its counterpart here.
    theirs = r"\$\{|0\.0\.0\.0|//(s3|prefect|postgres)[:/]|=/data|/run/|:(4200|5432|8333|8080)\b|^(postgres|5432)$"
    assert [text for text in (*command, *environment.values(), *check) if re.search(theirs, text)] == []


def test_ports_of_the_file_agree_with_its_commands_and_health_checks() -> None:
    services = COMPOSE["services"]
    assert "--port 4200" in services["prefect"]["command"]
    assert "-s3.port=8333" in services["s3"]["command"]
    for name, service in services.items():
        ports = {port.rpartition(":")[2] for port in service.get("ports", [])}
        checked = set(re.findall(r"127\.0\.0\.1:(\d+)", service.get("healthcheck", {"test": ["", ""]})["test"][1]))
        assert ports <= checked or not ports, name
    worker = services["worker"]["environment"]
    assert worker == services["shards"]["environment"]
    assert worker["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert worker["AWS_ENDPOINT_URL_S3"] == "http://s3:8333"
    assert worker["PREFECT_API_AUTH_STRING"] == services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
