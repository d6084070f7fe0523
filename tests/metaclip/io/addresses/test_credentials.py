"""No credential of an address is stored, shown or sent to Prefect, and files are read with them all the same."""

import base64
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from metaclip.config.loading import parse_config
from metaclip.config.settings import Config
from metaclip.errors import ConfigError, MetaclipError
from metaclip.io.addresses.credentials import hide, known_in, redact, redact_text, reveal
from metaclip.io.http import open_url
from metaclip.prepare.jobs import extract_job
from metaclip.sources.listing import list_shards
from metaclip.stages.source import ListingJob
from metaclip.store.store import Store
from tasks.workers import run_in_worker, workers_for
from tests.servers import serve

AMZ = "X-Amz-Algorithm=A&X-Amz-Credential=s3cret&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-Signature=s3cret"
SECRETS = [
    ("https://user:s3cret@h.org/a.warc.gz", "https://h.org/a.warc.gz"),
    ("ftp://s3cret@h.org/a@b.txt", "ftp://h.org/a@b.txt"),
    (f"https://b.s3.amazonaws.com/k.parquet?versionId=7&{AMZ}", "https://b.s3.amazonaws.com/k.parquet?versionId=7"),
    ("https://h/a?X-Goog-Signature=s3cret", "https://h/a"),
    ("https://b.s3.amazonaws.com/k?AWSAccessKeyId=s3cret&Signature=s3cret&Expires=1", "https://b.s3.amazonaws.com/k"),
    (
        "https://x.blob.core.windows.net/c/a?sv=2020&st=a&se=b&sr=b&sp=r&sig=s3cret%3D",
        "https://x.blob.core.windows.net/c/a",
    ),
    ("https://d.cloudfront.net/a?Policy=x&Signature=s3cret&Key-Pair-Id=K&x=1#f", "https://d.cloudfront.net/a?x=1#f"),
    ("https://h/a?password=s3cret&id=5", "https://h/a?id=5"),
    ("https://u:s3cret@h/a?id=5&%58-amz-signature=s3cret", "https://h/a?id=5"),
]
PLAIN = [
    "https://h.org/a.warc.gz?id=5&page=2", "s3://bucket/key?x", "/a@b/c?token=1", "file:///a?sig=1", "data/*.parquet",
    "https://data.commoncrawl.org/crawl-data/x@y/warc.paths.gz", "https://h/a?&x=1&&y", "https://h/a?", "https://h/a?e=1&s=2",
]  # fmt: skip


@pytest.mark.parametrize(("address", "expected"), SECRETS)
def test_credentials_are_left_out(address: str, expected: str) -> None:
    assert redact(address) == expected
    assert redact(expected) == expected
    assert hide(address) == expected
    assert reveal(expected) == address
    assert "s3cret" not in redact_text(f"'{address}': {address}")


@pytest.mark.parametrize("address", PLAIN)
def test_what_has_none_is_as_it_is(address: str) -> None:
    assert redact(address) == hide(address) == address


def test_of_a_token_a_mark_stays_that_tells_files_apart() -> None:
    values = ["AIza" + letter * 35 for letter in "xy"]
    addresses = [f"https://h/dl?{name}={value}" for name in ("token", "api_key", "key") for value in values]
    found = [redact(address) for address in addresses]
    assert len(set(found)) == len(found)
    assert not any("AIza" in address for address in found)
    assert [redact(address) for address in found] == found


def test_only_what_a_job_needs_goes_to_its_process() -> None:
    @dataclass
    class Inner:
        path: str
        size: int

    @dataclass
    class Outer:
        files: tuple[Inner, ...]

    first, second = hide("https://u:p@one/a"), hide("https://u:p@two/a")
    assert known_in(Outer((Inner(first, 1), Inner("b", 2)))) == {first: "https://u:p@one/a"}
    assert known_in([second]) == {second: "https://u:p@two/a"}


def config_of(tmp_path: Path, paths: list[str], **source: object) -> Config:
    (tmp_path / "entries.json").write_text('["cat"]')
    return parse_config(
        {
            "pool": "p",
            "storage": str(tmp_path / "store"),
            "source": {"paths": paths, **source},
            "metadata": {"entries": str(tmp_path / "entries.json")},
            "execution": {"processes": 1},
        }
    )


@pytest.mark.long
def test_a_pool_of_signed_addresses_holds_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with serve() as site:
        host = site.address.removeprefix("http://")
        for name in ("/a.jsonl?X-Amz-Signature=s3cret", "/b.jsonl", "/deep/c.jsonl?sig=s3cret&se=1"):
            site.files[name] = b'{"url": "https://a.org/1.jpg", "text": "%s"}\n' % (b"cat " * len(name))
        site.files["/deep/l.paths"] = b"c.jsonl?sig=s3cret&se=1\n"
        config = config_of(
            tmp_path,
            [f"{site.address}/a.jsonl?X-Amz-Signature=s3cret", f"http://user:s3cret@{host}/b.jsonl",
             f"http://user:s3cret@{host}/deep/l.paths", f"http://user:s3cret@{host}/missing.warc.gz"],
        )  # fmt: skip
        shards = tuple(tuple(shard) for shard in list_shards(config.source))
        ListingJob(shards).run(Store(config.storage))
        again = Config.model_validate(json.loads(config.model_dump_json()))  # as Prefect hands it on
        with workers_for(again):
            for shard in shards:
                run_in_worker(again, extract_job(again, shard))
        logins = {path: headers.get("Authorization") for path, headers in site.requests}
    basic = "Basic " + base64.b64encode(b"user:s3cret").decode()
    assert logins["/b.jsonl"] == logins["/deep/l.paths"] == logins["/deep/c.jsonl?sig=s3cret&se=1"] == basic
    manifests = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("extract-*/*/manifest.json")]
    assert sum(manifest["statistics"]["counts"]["pairs"] for manifest in manifests) == 3
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    shown = capfd.readouterr()
    for text in (stored.decode("latin-1"), config.model_dump_json(), repr(config), caplog.text, shown.out, shown.err):
        assert "s3cret" not in text


def test_errors_show_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, ["a"], limit="https://user:s3cret@h/a")
    assert "s3cret" not in str(caught.value)
    with serve() as site, serve() as other:
        host = site.address.removeprefix("http://")
        for name in ("gone", "moved"):
            site.failing[f"/{name}"] = [(302, {"Location": f"{other.address}/x"})] if name == "moved" else []
            with pytest.raises(MetaclipError) as raised:
                open_url(hide(f"http://user:s3cret@{host}/{name}"))
            assert "s3cret" not in str(raised.value)
        assert "Authorization" in site.requests[-1][1]
        assert "Authorization" not in other.requests[-1][1]  # another host is not given the password


def test_a_new_signature_is_no_new_file(tmp_path: Path) -> None:
    keys = set()
    for signature in ("s3cret1", "s3cret2"):
        config = config_of(tmp_path, [f"https://h.org/a.warc.gz?X-Amz-Date={signature}&X-Amz-Signature={signature}"])
        (shard,) = list_shards(config.source)
        keys.add(extract_job(config, tuple(shard)).key)
    plain = config_of(tmp_path, ["https://h.org/a.warc.gz"])
    keys.add(extract_job(plain, tuple(list_shards(plain.source)[0])).key)
    assert len(keys) == 1
