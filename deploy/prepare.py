"""The first service of docker-compose.yml: refuse secrets that protect nothing, and write SeaweedFS's configuration.

`python deploy/prepare.py FOLDER` reads the secrets from its environment and writes into the folder:

- `s3.json`: the one identity that the S3 server knows, as JSON, so that any character may stand in a secret;
- `security.toml` and keys: SeaweedFS's own services talk gRPC among themselves, which asks for no
  password. With these they talk only to those who hold the key, and nobody else does.
"""

import datetime
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LEAST_CHARACTERS = 12
PLACEHOLDERS = ("change-me", "changeme", "example", "password", "secret")
SERVICES = ("master", "volume", "filer", "s3", "client")


def faults(given: Mapping[str, str]) -> Iterator[str]:
    """Tell what is wrong with the secrets, without showing one."""
    user, colon, password = given.get("PREFECT_AUTH", "").partition(":")
    if not user or not colon:
        yield "PREFECT_AUTH: write user:password"
    secrets = {
        "POSTGRES_PASSWORD": given.get("POSTGRES_PASSWORD", ""),
        "PREFECT_AUTH": password,
        "AWS_SECRET_ACCESS_KEY": given.get("AWS_SECRET_ACCESS_KEY", ""),
    }
    for name, secret in secrets.items():
        if len(secret) < LEAST_CHARACTERS:
            yield f"{name}: the password must have at least {LEAST_CHARACTERS} characters"
        if any(word in secret.lower() for word in PLACEHOLDERS):
            yield f"{name}: this is a placeholder, not a secret"
        if not secret.isprintable():
            yield f"{name}: holds a character that cannot be typed"
    if len(set(secrets.values())) < len(secrets):
        yield "two secrets are the same: who learns one has the other too"
    if not re.fullmatch(r"[\w.-]{3,}", given.get("AWS_ACCESS_KEY_ID", ""), re.ASCII):
        yield "AWS_ACCESS_KEY_ID: at least 3 letters, digits, dots, hyphens and underscores; it is a name, not a secret"


def identities(access_key: str, secret_key: str) -> str:
    """Return what SeaweedFS reads of who may do what."""
    identity = {
        "name": "metaclip",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [identity]})


def write_keys(folder: Path) -> None:
    """Write a key that only SeaweedFS's own services hold, signed by an authority that is then forgotten."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    unencrypted = serialization.NoEncryption()
    _write(folder / "ca.pem", _certificate("metaclip", authority, authority, is_authority=True).public_bytes(pem))
    _write(folder / "cert.pem", _certificate("seaweedfs", own, authority, is_authority=False).public_bytes(pem))
    _write(folder / "key.pem", own.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted))
    tables = [f"[grpc]\nca = {json.dumps(str(folder / 'ca.pem'))}\n"]
    for service in SERVICES:
        files = f"cert = {json.dumps(str(folder / 'cert.pem'))}\nkey = {json.dumps(str(folder / 'key.pem'))}\n"
        tables.append(f"[grpc.{service}]\n{files}")
    _write(folder / "security.toml", "".join(tables).encode())  # last: where it is, all is there


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("metaclip"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def main(folder: Path) -> None:
    """Check, then write; keys that are there stay, for a server that runs has them."""
    found = list(faults(os.environ))
    if found:
        sys.exit("\n".join(["docker-compose.yml starts nothing with these secrets, correct .env:", *found]))
    _write(
        folder / "s3.json", identities(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    )
    if not (folder / "security.toml").exists():
        write_keys(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
