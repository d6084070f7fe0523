"""Register the automations of deploy/automations.yaml with the Prefect server; those of the same name are replaced."""

import sys
from pathlib import Path

import yaml
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.utilities.asyncutils import run_coro_as_sync

FILE = Path(__file__).with_suffix(".yaml")


def wanted() -> list[AutomationCore]:
    """Return the automations of the file."""
    return [AutomationCore.model_validate(each) for each in yaml.safe_load(FILE.read_text())["automations"]]


async def _register() -> None:
    async with get_client() as client:
        for one in wanted():
            known: list[Automation] = await client.read_automations_by_name(one.name)
            if known:
                await client.update_automation(known[0].id, one)
            else:
                await client.create_automation(one)
            sys.stdout.write(f"{'replaced' if known else 'registered'}: {one.name}\n")


if __name__ == "__main__":
    run_coro_as_sync(_register())
