"""Register the automations of deploy/automations.yaml with the Prefect server; those that have changed are replaced."""

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
            if not known:
                await client.create_automation(one)
            elif _is_same(known[0], one):
                # A replaced automation forgets which runs it watches, so that those would stay Running for ever.
                continue
            else:
                await client.update_automation(known[0].id, one)
            sys.stdout.write(f"{'replaced' if known else 'registered'}: {one.name}\n")


def _is_same(known: Automation, one: AutomationCore) -> bool:
    fields = AutomationCore.model_fields.keys()
    return known.model_dump(mode="json", include=fields) == one.model_dump(mode="json", include=fields)


if __name__ == "__main__":
    run_coro_as_sync(_register())
