"""Register the automations of deploy/automations.yaml with the Prefect server; those that have changed are replaced.

If METACLIP_WEBHOOK has an address, so are those that call it. It is kept by the server as a secret.
"""

import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.utilities.asyncutils import run_coro_as_sync

FILE = Path(__file__).with_suffix(".yaml")
VARIABLE = "METACLIP_WEBHOOK"
BLOCK = "metaclip-webhook"


def wanted(webhook: UUID | None = None) -> list[AutomationCore]:
    """Return the automations of the file; those that call a webhook only with the id of its block."""
    tree: dict[str, list[dict[str, Any]]] = yaml.safe_load(FILE.read_text())
    found = list(tree["automations"])
    if webhook is not None:
        for each in tree["webhook_automations"]:
            actions = [{**action, "block_document_id": str(webhook)} for action in each["actions"]]
            found.append({**each, "actions": actions})
    return [AutomationCore.model_validate(each) for each in found]


async def _register(address: str) -> None:
    async with get_client() as client:
        webhook = await _webhook(client, address)
        for one in wanted(webhook):
            known: list[Automation] = await client.read_automations_by_name(one.name)
            if not known:
                await client.create_automation(one)
            elif _is_same(known[0], one):
                # A replaced automation forgets which runs it watches, so that those would stay Running for ever.
                continue
            else:
                await client.update_automation(known[0].id, one)
            sys.stdout.write(f"{'replaced' if known else 'registered'}: {one.name}\n")


async def _webhook(client: PrefectClient, address: str) -> UUID | None:
    """Keep the address of the webhook on the server, and return the id of its block."""
    if not address:
        return None
    await Webhook.aregister_type_and_schema(client=client)
    block = Webhook(method="POST", url=address, headers={"Content-Type": "application/json"})
    return await block.asave(BLOCK, overwrite=True, client=client)


def _is_same(known: Automation, one: AutomationCore) -> bool:
    fields = AutomationCore.model_fields.keys()
    # Not as JSON: what a trigger expects is a set, whose order is another one in each process.
    return known.model_dump(include=fields) == one.model_dump(include=fields)


def main() -> None:
    """Check what the environment gives, then register."""
    address = os.environ.get(VARIABLE, "")
    if address and not address.startswith(("https://", "http://")):
        sys.exit(f"{VARIABLE}: write the address of a webhook, such as https://hooks.example.org/…")
    run_coro_as_sync(_register(address))


if __name__ == "__main__":
    main()
