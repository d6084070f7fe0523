"""Check the Prefect API: whether it answers, its version, and the deployments for a pool on many workers."""

from collections.abc import Iterator
from importlib.metadata import version

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from metaclip.config.settings import Config
from metaclip.prepare.doctor import Finding

DEPLOYMENTS = ("curate/curate", "match-shards/match-shards", "rebalance/rebalance", "build-metadata/build-metadata")
_CHECK = "prefect"


def prefect_api(config: Config | None) -> Iterator[Finding]:
    """Check the Prefect API that runs would use."""
    url = PREFECT_API_URL.value()
    wanted = _wanted(config)
    if not url:
        if not wanted:
            yield Finding(_CHECK, "ok", "no API is configured; each command starts a server of its own")
        else:
            setting, deployment = wanted[0]
            message = f"{setting} is {deployment}, and no API is configured"
            yield Finding(_CHECK, "fail", message, "set PREFECT_API_URL, such as http://127.0.0.1:4200/api", 2)
        return
    try:
        with get_client(sync_client=True) as client:
            theirs = client.api_version()
            yield from _deployments(client, wanted)
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        mend = "set PREFECT_API_AUTH_STRING to user:password" if status in (401, 403) else "look at the server's log"
        yield Finding(_CHECK, "fail", f"{url} answers with status {status}", mend, 1)
        return
    except (httpx.HTTPError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        mend = "start it (prefect server start), correct PREFECT_API_URL, or unset it to have one for each command"
        yield Finding(_CHECK, "fail", f"{url} cannot be reached: {reason}", mend, 1)
        return
    ours = version("prefect")
    if theirs == ours:
        yield Finding(_CHECK, "ok", f"{url}, version {theirs}")
    else:
        mend = f'pip install "prefect=={theirs}" here or {ours} there'
        yield Finding(_CHECK, "warn", f"{url} has version {theirs}, here is {ours}", mend)


def _wanted(config: Config | None) -> list[tuple[str, str]]:
    """Return the deployments that a configuration names, each with its setting."""
    if config is None:
        return []
    named = [(f"execution.{name}", getattr(config.execution, name)) for name in ("deployment", "parts_deployment")]
    return [(setting, deployment) for setting, deployment in named if deployment is not None]


def _deployments(client: SyncPrefectClient, wanted: list[tuple[str, str]]) -> Iterator[Finding]:
    missing = []
    for name in dict.fromkeys([*DEPLOYMENTS, *(deployment for _, deployment in wanted)]):
        try:
            client.read_deployment_by_name(name)
        except ObjectNotFound:
            missing.append(name)
    mend = "prefect --no-prompt deploy --all, in the folder of prefect.yaml (docs/deploy.md)"
    if not missing:
        yield Finding("deployments", "ok", "all of prefect.yaml are registered")
    elif lacking := [each for each in wanted if each[1] in missing]:
        setting, deployment = lacking[0]
        yield Finding("deployments", "fail", f"{setting}: {deployment} is not registered", mend, 2)
    else:
        yield Finding("deployments", "warn", f"not registered: {', '.join(missing)}", mend)
