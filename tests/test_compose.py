"""The compose file, the example of its secrets and the deployments agree with each other and the code."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import Flow

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
    assert list(flow.parameters.properties) == ["pool", "storage", "t", "target_pairs", "tail_share", "seed"]
