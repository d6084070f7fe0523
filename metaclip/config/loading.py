"""Read a configuration: YAML, overrides, and one line for each mistake."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.io.addresses.credentials import redact_text


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML configuration and apply `key=value` overrides such as `balance.t=50`.

    Values of overrides are YAML, so `match.languages=[en,de]` is a list.

    Raises:
        ConfigError: a field cannot be used; the message names each such field and what to do.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration: {error}") from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: the top level must be `key: value` lines; `metaclip init demo` writes an example")
    return parse_config(override_tree(tree, overrides), str(path))


def override_tree(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply `key=value` overrides to a tree of plain values, in place, and return it.

    Raises:
        ConfigError: one is not of that form.
    """
    for override in overrides:
        _override(tree, override)
    return tree


def parse_config(tree: dict[str, Any], origin: str = "configuration") -> Config:
    """Validate a tree of plain values.

    Raises:
        ConfigError: a value is invalid; the message has one line for each such field.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(origin, error))) from error


def _override(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"--set {override}: write key=value, such as balance.t=50")
    node = tree
    for part in parts[:-1]:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: `{part}` is a value, not a section")
        node = child
    try:
        node[parts[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from error


def _explain(origin: str, error: ValidationError) -> Iterable[str]:
    for fault in error.errors():
        # Pydantic adds names of union members to the location, which the user did not write.
        location = [part for part in fault["loc"] if not re.search(r"[\[(\s]|^(float|literal)", str(part))]
        field = ".".join(str(part) for part in location)
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_fields(location[:-1]))
            yield f"{origin}: {field}: no such field; known here: {known}"
        elif fault["type"] == "missing":
            yield f"{origin}: {field}: must be given: {_describe(location)}"
        else:
            message = fault["msg"].removeprefix("Value error, ")
            if isinstance(fault["input"], dict):  # a section whose fields contradict each other
                yield f"{origin}: {field + ': ' if field else ''}{message}"
                continue
            given = redact_text(repr(fault["input"]))
            yield f"{origin}: {field}: {message} (given: {given}). {_describe(location)}".rstrip()


def _model_at(location: list[Any]) -> type[BaseModel] | None:
    model: type[BaseModel] = Config
    parts = iter(location)
    for part in parts:
        info = model.model_fields.get(str(part))
        if info is None:
            return None
        annotation: Any = info.annotation
        if get_origin(annotation) is dict:  # sections by name
            annotation = get_args(annotation)[1]
            next(parts, None)
        if not isinstance(annotation, type) or not issubclass(annotation, BaseModel):
            return None
        model = annotation
    return model


def _fields(location: list[Any]) -> list[str]:
    model = _model_at(location)
    return sorted(model.model_fields) if model else []


def _describe(location: list[Any]) -> str:
    while location and not isinstance(location[-1], str):
        location = location[:-1]
    model = _model_at(location[:-1])
    info = model.model_fields.get(str(location[-1])) if model and location else None
    return " ".join((info.description or "").split()) if info else ""
