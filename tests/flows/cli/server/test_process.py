"""The local Prefect server: what many ask of it at once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx


def test_no_request_is_refused_because_others_write(prefect_server: str) -> None:
    """SQLite refuses who has read before others wrote, and Prefect's clients then wait for two seconds."""
    with httpx.Client(base_url=prefect_server, timeout=60) as client:
        name = f"busy-{uuid4()}"
        flow = client.post("/flows/", json={"name": name}).json()["id"]
        runs = [client.post("/flow_runs/", json={"flow_id": flow, "name": name}).json()["id"] for _ in range(8)]

        def begin(number: int) -> int:
            task = {"flow_run_id": runs[number % len(runs)], "task_key": "t", "dynamic_key": str(number)}
            return client.post("/task_runs/", json=task).status_code

        with ThreadPoolExecutor(len(runs)) as threads:
            answered = list(threads.map(begin, range(160)))
    assert set(answered) == {httpx.codes.CREATED}
