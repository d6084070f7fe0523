"""Objects of S3 as streams: one request for the whole object, and one for the rest of it after each fault.

Common Crawl recommends to read a whole object by one request: it limits the rate of requests, not of
transfers.
"""

from typing import cast

from fsspec.asyn import sync

from metaclip.errors import ChangedFileError
from metaclip.io.failures import diagnose, faults
from metaclip.io.object_store import connect, once
from metaclip.io.resume import Answer, Fault, ResumingStream


class S3Stream(ResumingStream):
    """The bytes of one S3 object."""

    def ask(self, start: int, version: str | None) -> Answer | None:
        """Request the object from a byte on."""
        store, path = connect(self.address, once(self.client.user_agent, self.client.backoff.timeout))
        bucket, key, _ = store.split_path(path)
        wanted = {"IfMatch": version} if version is not None else {}
        if start:
            wanted["Range"] = f"bytes={start}-"
        try:
            response = store.call_s3("get_object", Bucket=bucket, Key=key, **store.req_kw, **wanted)
        except faults(ValueError) as error:
            failure = diagnose(self.address, error)
            if failure.status == 416 or failure.code == "InvalidRange":
                return None
            if failure.status == 412 or failure.code == "PreconditionFailed":
                raise ChangedFileError(self.address, f"ETag {version} before, another one now") from error
            if failure.may_pass:
                raise Fault(failure.detail) from error
            raise failure.as_input_error() from error
        body = response["Body"]
        size: int | None = response["ContentLength"]
        if start:
            total = str(response.get("ContentRange", "")).rpartition("/")[2]
            size = int(total) if total.isdigit() else None

        late: list[Exception] = []

        async def fill(count: int) -> bytes:
            # The network gives small pieces, and each hand-over between threads takes its time.
            parts, size = [await body.read(count)], 0
            while parts[-1] and (size := size + len(parts[-1])) < count:
                try:
                    parts.append(await body.read(count - size))
                except faults() as error:
                    late.append(error)  # for the next call; what has arrived is given first
                    break
            return b"".join(parts)

        def read(count: int) -> bytes:
            try:
                if late:
                    raise late[0]
                return cast(bytes, sync(store.loop, fill, count))
            except faults() as error:
                raise Fault(f"{type(error).__name__}: {error}") from error

        def close() -> None:
            store.loop.call_soon_threadsafe(body.close)

        return Answer(read, close, start, size, response.get("ETag"))
