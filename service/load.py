"""Settings from command line, environment, file and defaults, with the place of each value kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.config import Section, Settings
from service.document import Document, Key, read_document
from service.findings import Finding, Refused, did_you_mean, expected, remedy_for
from service.layers import (
    KINDS,
    PATHS,
    Value,
    from_environment,
    from_options,
    is_secret,
    secret_remedy,
    typed,
)

FORM: Final = "`tidegate create` prints one, with every setting explained"


@dataclass(slots=True)
class Source:
    """Where each setting was said; `where` answers for any path of names."""

    document: Document
    said: dict[Key, str] = field(default_factory=dict)

    def where(self, *path: str | int) -> str:
        """`file:line:column`, `environment NAME`, `--set NAME`, or the file's name for a default."""
        parts = [path[:end] for end in range(len(path), 0, -1)]
        for part in parts:  # a list from a layer above has hidden the file's, and its items' places
            if part in self.said:
                return self.said[part]
        return next(
            (self.document.where(part) for part in parts if part in self.document.places), self.document.name
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they come from."""

    settings: Settings
    source: Source


def load(
    path: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Settings:
    """The settings to run with; raises `Refused` (a `ConfigError`) that lists everything wrong."""
    return read(path, overrides, environ).settings


def read(path: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> Loaded:
    """Settings and their source; raises `Refused` with every error, ConfigError for a file it cannot read."""
    document = read_document(path, "configuration") if path else Document("defaults", {})
    source, findings = Source(document), list(document.findings)
    tree = document.data if isinstance(document.data, dict) else {}
    if document.data is not tree and document.data is not None:
        findings.append(
            Finding("error", document.where(()), "the configuration must be a mapping of sections", "", FORM)
        )
    tree = _File(path.parent if path else Path(), source, findings).settle(tree)
    values = [*from_environment(environ, findings), *from_options(overrides, findings)]
    for value in values:
        _assign(tree, value, source)
    settings = _validated(tree, source, findings)
    if findings or settings is None:
        raise Refused(findings)
    return Loaded(settings, source)


@dataclass(slots=True)
class _File:
    """The file's tree with paths made absolute, empty sections as mappings, and literal secrets refused."""

    folder: Path
    source: Source
    findings: list[Finding]

    def settle(
        self, tree: Mapping[str, Any], section: type[Section] | None = Settings, at: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in tree.items():
            path, inner = (*at, name), _section(section, name)
            if is_secret(path) and value is not None:
                self._refuse(path)
            elif (inner or _free(section, name)) and (value is None or isinstance(value, dict)):
                result[name] = self.settle(value or {}, inner, path)
            else:
                result[name] = self._from_here(path, value)
        return result

    def _refuse(self, path: tuple[str, ...]) -> None:
        what = f"'{'.'.join(path)}' is a secret and must not stand in the file"
        why = "files are copied, committed and backed up"
        self.findings.append(Finding("error", self.source.where(*path), what, why, secret_remedy(path)))

    def _from_here(self, path: tuple[str, ...], value: Any) -> Any:
        """A relative path counts from the file; a bundle is a path when it looks like one, else a name."""
        if not isinstance(value, str) or not value:
            return value
        if list in (kinds := KINDS.get(path, set())) and str not in kinds:
            return typed(path, value)  # a,b as in the environment
        if path in PATHS or (path == ("bundle",) and ("/" in value or value.startswith("."))):
            return str(self.folder.absolute() / Path(value).expanduser())
        return value


def _annotation(section: type[Section] | None, name: str) -> Any:
    return section.model_fields[name].annotation if section and name in section.model_fields else None


def _section(section: type[Section] | None, name: str) -> type[Section] | None:
    annotation = _annotation(section, name)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _free(section: type[Section] | None, name: str) -> bool:
    return getattr(_annotation(section, name), "__origin__", None) is dict


def _assign(tree: dict[str, Any], value: Value, source: Source) -> None:
    for name in value.path[:-1]:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # the file's own mistake is reported for that section
        tree = inner
    tree[value.path[-1]] = value.value
    source.said[value.path] = value.where


def _validated(tree: dict[str, Any], source: Source, findings: list[Finding]) -> Settings | None:
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        findings.extend(_explained(error.errors(include_url=False), source))
        return None


def _explained(errors: Iterable[ErrorDetails], source: Source) -> list[Finding]:
    found: dict[Key, Finding] = {}
    for error in errors:
        path = _known_part(error["loc"])
        if path in found:  # the other arm of a union
            other = found[path]
            found[path] = Finding(
                "error",
                other.where,
                other.what,
                f"{other.why}, or {_why(error).removeprefix('it must be ')}",
                other.remedy,
            )
        else:
            found[path] = _finding(error, path, source)
    parents = {path[:end] for path in found for end in range(len(path))}  # the arm that fits less well
    return [finding for path, finding in found.items() if path not in parents]


def _finding(error: ErrorDetails, path: Key, source: Source) -> Finding:
    name, where = ".".join(map(str, path)), source.where(*path)
    if error["type"] == "extra_forbidden":
        known = did_you_mean(str(path[-1]), _section_at(path[:-1]).model_fields)
        remove = "Remove it; `tidegate create` lists every setting"
        return Finding("error", where, f"unknown key '{name}'", "", known or remove)
    value = error["input"]
    shown = "" if is_secret(path) or isinstance(value, dict | list) else f" {value!r:.60}"
    remedy = ""
    if error["type"] == "literal_error" and isinstance(value, str):
        choices = str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(", ")
        remedy = did_you_mean(value, [choice.strip("'") for choice in choices])
    elif error["type"] == "string_type" and not isinstance(value, dict | list):
        remedy = "Put it in quotes"
    return Finding(
        "error",
        where,
        f"'{name}' cannot be{shown}",
        _why(error),
        remedy or remedy_for(error["type"], _example(path)),
    )


def _why(error: ErrorDetails) -> str:
    return expected(error["type"], error.get("ctx", {}), error["msg"])


def _example(path: Key) -> object:
    """A number that fits: sizes are bytes and seldom written out, so theirs is a round one."""
    name = str(path[-1])
    if name.endswith("_bytes") or name == "decode_memory":
        return 200_000_000 if name == "decode_memory" else 5_000_000
    info = _section_at(path[:-1]).model_fields.get(name)
    default = info.default if info is not None else None
    return default if isinstance(default, int | float) else 3600


def _section_at(path: Key) -> type[Section]:
    section: type[Section] = Settings
    for name in path:
        section = _section(section, str(name)) or section
    return section


def _known_part(loc: tuple[int | str, ...]) -> Key:
    """The part of pydantic's location that names a setting: what follows names arms of a union."""
    section: type[Section] | None = Settings
    for end, name in enumerate(loc, start=1):
        inner = _section(section, str(name))
        if inner is None:
            rest = [part for part in loc[end:] if isinstance(part, int)]
            return (*loc[:end], *rest)
        section = inner
    return loc
