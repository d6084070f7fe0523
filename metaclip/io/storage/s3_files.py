"""Objects in S3, by direct requests where s3fs would make more of them, or would hide what failed."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import fsspec

from metaclip.errors import StoreError
from metaclip.io.failures import answer_of
from metaclip.io.object_store import QUICK, connect
from metaclip.io.storage.any_files import AnyFiles
from metaclip.io.storage.file_system import Child, StoredObject, Upload
from metaclip.io.storage.locked import Change

PART_BYTES = 16 << 20
"""Files of twice this size and more go to the store in parts of this size."""

PARTS_AT_ONCE = 4
KEYS_A_REQUEST = 1000


class S3Files(AnyFiles):
    """Objects of one S3 store; a path is `bucket/key`."""

    removed_at_once = KEYS_A_REQUEST

    def reach(self, path: str) -> None:
        """Try to read an object, with few retries."""
        quick, _ = connect(f"s3://{path}", QUICK)
        quick.cat_file(path, max_concurrency=1)

    def children(self, folder: str) -> list[Child]:
        """Return what is directly in a folder; nothing where there is none."""
        found: list[Child] = []
        prefix = self._prefix(folder)
        for page in self._listing(folder, Delimiter="/"):
            found += [Child(each["Prefix"][len(prefix) : -1], True) for each in page.get("CommonPrefixes", [])]
            found += [Child(each["Key"][len(prefix) :], False) for each in page.get("Contents", [])]
        return found

    def files_under(self, folder: str) -> Iterator[StoredObject]:
        """Yield all objects in a folder, however deep."""
        bucket = self._split(folder)[0]
        for page in self._listing(folder):
            for each in page.get("Contents", []):
                yield StoredObject(f"{bucket}/{each['Key']}", each["Size"], each["LastModified"])

    def sizes_under(self, folder: str, start: str) -> Iterator[tuple[str, int]]:
        """Yield path and size of the objects of a folder whose names begin with `start`, a thousand a request."""
        bucket = self._split(folder)[0]
        for page in self._listing(folder, start):
            for each in page.get("Contents", []):
                yield f"{bucket}/{each['Key']}", each["Size"]

    def read(self, path: str) -> bytes:
        """Return a small object's content."""
        # In one request: a larger number would ask for the size first, and list where there is no object.
        return cast(bytes, self.system.cat_file(path, max_concurrency=1))

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of an object, in one request."""
        return cast(bytes, self.system.cat_file(path, start=start, end=end, max_concurrency=1))

    def size(self, path: str) -> int:
        """Return an object's size in bytes; s3fs would make a listing where there is no such object."""
        bucket, key = self._split(path)
        return cast(int, self.system.call_s3("head_object", Bucket=bucket, Key=key)["ContentLength"])

    def update(self, path: str, change: Change) -> None:
        """Replace a small object by what `change` makes of it, if nobody has replaced it meanwhile; else again."""
        bucket, key = self._split(path)
        while True:
            before, tag = self._read_with_tag(bucket, key)
            after = change(before)
            if after == before:  # perhaps the answer to an earlier attempt was lost
                return
            condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
            if self._put_if(bucket, key, after, condition):
                return
            time.sleep(random.uniform(0.005, 0.1))

    def prove_updates(self, path: str) -> None:
        """Check that a write on condition is refused where the condition does not hold."""
        bucket, key = self._split(path)
        content, _ = self._read_with_tag(bucket, key)
        if content is not None and self._put_if(bucket, key, content, {"IfNoneMatch": "*"}):
            raise StoreError(
                f"s3://{path}: this store does not heed the conditions of a write (If-Match, If-None-Match), so two"
                " runs that finish together would lose each other's sets; use a store that does, such as AWS S3,"
                " SeaweedFS 4 or a recent MinIO"
            )

    def _read_with_tag(self, bucket: str, key: str) -> tuple[bytes | None, str | None]:
        """Return an object's content and ETag, of one answer; None where there is no object."""

        async def get() -> tuple[bytes, str]:
            answer = await self.system._call_s3("get_object", Bucket=bucket, Key=key)
            async with answer["Body"] as body:
                return await body.read(), answer["ETag"]

        try:
            return cast(tuple[bytes, str], fsspec.asyn.sync(self.system.loop, get))
        except FileNotFoundError:
            return None, None

    def _put_if(self, bucket: str, key: str, content: bytes, condition: dict[str, str]) -> bool:
        """Write an object on a condition; return whether it held."""
        try:
            self.system.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        except OSError as error:
            code, status = answer_of(error)
            # 404: the object that was to be replaced is gone. 409: another write was just going on.
            if status in (409, 412) or code in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                return False
            raise
        return True

    def put(self, temporary: Path, path: str) -> None:
        """Upload a finished file, a large one in parts; it is visible once all parts are there."""
        self.system.put_file(str(temporary), path, chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        temporary.unlink()

    def remove(self, paths: Sequence[str]) -> None:
        """Remove objects of one bucket; s3fs would not report which could not be removed.

        Raises:
            StoreError: naming the first that is still there.
        """
        bucket = self._split(paths[0])[0]
        keys = [{"Key": self._split(path)[1]} for path in paths]
        answer = self.system.call_s3("delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for fault in answer.get("Errors", []):
            raise StoreError(
                f"s3://{bucket}/{fault['Key']}: cannot be removed: {fault['Code']}: {fault['Message']}; check what the"
                " credentials may do there"
            )

    def unfinished_uploads(self, folder: str) -> list[Upload]:
        """Return uploads in parts that were begun under a folder and not ended."""
        bucket = self._split(folder)[0]
        found: list[Upload] = []
        more: dict[str, str] = {}
        while True:
            page = self.system.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=self._prefix(folder), **more)
            found += [
                Upload(f"s3://{bucket}/{each['Key']}", each["UploadId"], each["Initiated"])
                for each in page.get("Uploads", [])
            ]
            if not page.get("IsTruncated"):
                return found
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort(self, upload: Upload) -> None:
        """Give up an upload; a missing one is ignored."""
        bucket, key = self._split(self.system._strip_protocol(upload.address))
        with suppress(FileNotFoundError):
            self.system.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)

    def _split(self, path: str) -> tuple[str, str]:
        """Return bucket and key of a path."""
        bucket, key, _ = self.system.split_path(path.rstrip("/"))
        return bucket, key

    def _prefix(self, folder: str) -> str:
        """Return what the keys of a folder's objects begin with."""
        key = self._split(folder)[1]
        return f"{key}/" if key else ""

    def _listing(self, folder: str, start: str = "", **how: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a folder's listing; s3fs would list the folder above an empty one."""
        bucket = self._split(folder)[0]
        more: dict[str, str] = {}
        while True:
            page = self.system.call_s3(
                "list_objects_v2", Bucket=bucket, Prefix=self._prefix(folder) + start, **how, **more
            )
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}
