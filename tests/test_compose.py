"""The compose file, the example of its secrets and the deployments agree with each other and the code."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import Flow

from tests.services import Stack

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_are_pinned_checked_and_local(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "build" in service or re.search(r":\d+\.\d+", service["image"])
    assert service["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert all(other in COMPOSE["services"] for other in service.get("depends_on", {}))


def test_every_secret_is_in_the_example() -> None:
    wanted = set(re.findall(r"(?<!\$)\$\{(\w+)\}", (ROOT / "docker-compose.yml").read_text()))
    given = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert wanted == given


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


def test_the_form_of_rebalance_has_few_fields() -> None:
    flow = importlib.import_module("flows.rebalance").rebalance
    fields = flow.parameters.properties
    assert list(fields) == [
        *("pool", "storage", "t", "target_pairs", "tail_share", "seed"),
        *("survivors", "survivors_name"),
    ]
    assert flow.parameters.required == ["pool", "storage"]
    assert all(len(field["description"]) > 10 for field in fields.values())


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "postgres"])
def test_what_the_end_to_end_test_starts_is_what_the_file_says(name: str, tmp_path: Path) -> None:
    command, environment, check = Stack(tmp_path).prepare(name)
    service = COMPOSE["services"][name]
    assert set(service["environment"]) <= set(environment)
    said = service["command"] if isinstance(service["command"], str) else " ".join(service["command"])
    asked, done = ({word for word in text.split() if word.isalpha()} for text in (said, " ".join(command)))
    assert asked <= done
    # Every address and secret of the containers has its counterpart here.
    theirs = r"\$\{|0\.0\.0\.0|(//|@)(s3|prefect|postgres)[:/](?!\w+@)|-ip=s3|=/data|:(4200|5432|8333|8080)\b"
    assert [text for text in (*command, *environment.values(), *check) if re.search(theirs, text)] == []


def test_ports_of_the_file_agree_with_its_commands_and_health_checks() -> None:
    services = COMPOSE["services"]
    assert "--port 4200" in services["prefect"]["command"]
    assert "-s3.port=8333" in services["s3"]["command"][0]
    for name, service in services.items():
        ports = {port.rpartition(":")[2] for port in service.get("ports", [])}
        checked = set(re.findall(r"127\.0\.0\.1:(\d+)", service["healthcheck"]["test"][1]))
        assert ports <= checked or not ports, name
    worker = services["worker"]["environment"]
    assert worker == services["shards"]["environment"]
    assert worker["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert worker["AWS_ENDPOINT_URL_S3"] == "http://s3:8333"
    assert worker["PREFECT_API_AUTH_STRING"] == services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
