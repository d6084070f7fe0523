"""Read a configuration: YAML, overrides, and one line for each mistake."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.error import MarkedYAMLError

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
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; `metaclip init demo` writes an example") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder, not a file; name the configuration in it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text in UTF-8, as a configuration must be: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check its rights") from error
    tree = _yaml(text, f"{path}: ")
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
    node[parts[-1]] = _yaml(value, f"--set {override}: the value is ")


class _Loader(yaml.SafeLoader):
    """Refuses what YAML leaves open: of a key that is given twice the first value would be lost unseen."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        given: set[str] = set()
        for key, _ in node.value:
            if key.value in given:
                raise MarkedYAMLError(problem=f"`{key.value}` is given twice", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                given.add(key.value)
        return node


def _yaml(text: str, origin: str) -> Any:
    """Return the value of a text in YAML; what an error says begins with its origin."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        reason, mark = getattr(error, "problem", None) or str(error), getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{origin}not valid YAML{place}: {reason}") from error


def _explain(origin: str, error: ValidationError) -> Iterable[str]:
    for fault in error.errors():
        # Pydantic adds names of union members to the location, which the user did not write.
        location = [part for part in fault["loc"] if not re.search(r"[\[(\s]|^(float|literal)", str(part))]
        field = ".".join(str(part) for part in location)
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_fields(location[:-1]))
            yield f"{origin}: {field}: no such field; known here: {known}"
        elif fault["type"] == "missing":
            yield f"{origin}: {field}: must be given. {_describe(location)}".rstrip()
        else:
            message = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "string_pattern_mismatch":  # a name
                message = (
                    f"must begin with a letter or digit and go on with such, `.`, `_` or `-`: {fault['ctx']['pattern']}"
                )
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
    model, section = _model_at(location[:-1]), _model_at(location)
    info = model.model_fields.get(str(location[-1])) if model and location else None
    described = info.description or (section.__doc__ if section else None) if info else None
    return " ".join((described or "").split())
