"""Credentials in addresses: nothing that is stored, shown or sent to Prefect has them.

An address may hold a user with a password (`https://user:password@host/…`), or a signature or token in its query. As
soon as it enters the program it is replaced by itself without these (`hide`). The whole address stays in the memory of
this process, and of the worker processes that it starts, and is used only where a connection is made (`reveal`).
"""

import dataclasses
import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
# What signs a request (of Amazon, Google, Alibaba, Tencent, Akamai and CloudFront), and passwords: they are left out.
_SECRET = re.compile(
    r"x-(amz|goog|oss|cos|obs|tos|bce)-.+|q-(sign|ak|key|header|url|signature).*|(.*[-_])?(signature|secret|password)"
    r"|sig|hmac|hdne[at]s?|hdnts|passwd|pwd|credentials?|awsaccesskeyid|googleaccessid|ossaccesskeyid|accesskeyid",
    re.IGNORECASE,
)
# What stands beside a signature and is renewed with it: another signature of one file must not be another file.
_BESIDE = re.compile(
    r"expires?|e|policy|key-pair-id|sv|ss|srt|s[ertpi]|spr|sip|sks|skt|ske|skoid|sktid|skv|saoid|suoid|scid|sdd|md5",
    re.IGNORECASE,
)
_SIGNED = re.compile(r".*signature|sig|md5|hmac", re.IGNORECASE)
# What may also be what tells one file from another, such as the token of a shared link: a mark of it stays.
_TOKEN = re.compile(
    r"(.*[-_])?(token|api[-_]?key|access[-_]?key)|jwt|auth|authorization|accesstoken|session(-?id)?|subscription-key"
    r"|rlkey|authkey",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"AIza[\w-]{30,}|ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.|(AKIA|ASIA)[A-Z0-9]{16}|(sk|ghp|hf)[-_]\w{16,}"
)
_MARK = re.compile(r"~[0-9a-f]{8}")

_known: dict[str, str] = {}


def redact(address: str) -> str:
    """Return an address without credentials; one that has none is returned as it is.

    User and password, signatures and what belongs to them are left out. Of a token four bytes of its SHA-256 stay,
    because it may be all that tells two files apart.
    """
    if "://" not in address or address[:7].lower() == "file://":
        return address
    head, hash_mark, fragment = address.partition("#")
    head, mark, query = head.partition("?")
    plain = _USER.sub("", head)
    fields = query.split("&")
    signed = any(_SIGNED.fullmatch(name) and value for name, value in map(_named, fields))
    kept = [safe for field in fields if (safe := _safe(field, signed=signed)) is not None]
    if kept != fields:
        query, mark = "&".join(kept), mark if kept else ""
    return plain + mark + query + hash_mark + fragment


def _named(field: str) -> tuple[str, str]:
    name, _, value = field.partition("=")
    return urllib.parse.unquote(name), urllib.parse.unquote(value)


def _safe(field: str, *, signed: bool) -> str | None:
    """Return a field of a query without what is secret, None if all of it is."""
    name, value = _named(field)
    if _SECRET.fullmatch(name) or (signed and _BESIDE.fullmatch(name)):
        return None
    if value and (_TOKEN.fullmatch(name) or _TOKENS.match(value)) and not _MARK.fullmatch(value):
        return f"{field.partition('=')[0]}=~{hashlib.sha256(value.encode()).hexdigest()[:8]}"
    return field


def redact_text(text: str) -> str:
    """Return a message, all addresses in it without credentials."""
    return _IN_TEXT.sub(lambda found: redact(found[0]), text)


def hide(address: str) -> str:
    """Return an address without credentials, and remember the whole one for `reveal`."""
    plain = redact(address)
    if plain != address:
        _known[plain] = address
    return plain


def reveal(address: str) -> str:
    """Return the whole address, for a connection; never for a message, a file or a record."""
    return _known.get(address, address)


def learn(known: Mapping[str, str]) -> None:
    """Remember whole addresses that another process has hidden."""
    _known.update(known)


def known_in(value: object) -> dict[str, str]:
    """Return the whole addresses of those in a dataclass, for a process that works on it."""
    return {text: _known[text] for text in _texts(value) if text in _known} if _known else {}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value):
        yield from _texts([getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for item in value:
            yield from _texts(item)
