"""The layers over the file: environment variables and `--set` options, turned into typed values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin

import yaml
from pydantic import SecretStr

from service.config import Section, Settings
from service.findings import Finding, did_you_mean

PREFIX: Final = "TIDEGATE_"
ALL: Final = "`tidegate create` lists every setting"
Path_ = tuple[str, ...]


class Value(NamedTuple):
    """One value from a layer, and where it was said."""

    path: Path_
    value: Any
    where: str


def variable(path: Sequence[str]) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def settings_tree(section: type[Section] = Settings, at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every setting with its annotation: sections are walked, free mappings are leaves."""
    for name, info in section.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from settings_tree(info.annotation, (*at, name))
        else:
            yield (*at, name), info.annotation


def atoms(annotation: Any) -> set[Any]:
    """The plain types a value may have: unions and Annotated are taken apart, `list` stands for any list."""
    if hasattr(annotation, "__metadata__"):
        return atoms(annotation.__origin__)
    origin = get_origin(annotation)
    if origin in (list, dict):
        return {origin}
    arguments = get_args(annotation)
    if not arguments:
        return {annotation}
    return {str} if origin is not None and "Literal" in str(origin) else set().union(*map(atoms, arguments))


LEAVES: Final = dict(settings_tree())
KINDS: Final = {path: atoms(annotation) for path, annotation in LEAVES.items()}
SECRETS: Final = frozenset(path for path, kinds in KINDS.items() if SecretStr in kinds)
PATHS: Final = frozenset(path for path, kinds in KINDS.items() if Path in kinds)
FREE: Final = frozenset(path for path, kinds in KINDS.items() if kinds == {dict})
_FLAT: Final = {"".join(path).replace("_", ""): path for path in LEAVES}


def from_environment(environ: Mapping[str, str], findings: list[Finding]) -> Iterator[Value]:
    """Settings among the environment variables; a variable that looks like one and is none is a finding."""
    for name in sorted(environ, key=lambda n: (n.count("__"), n)):
        if not name.startswith(PREFIX):
            continue
        path, raw = tuple(name[len(PREFIX) :].lower().split("__")), environ[name]
        where = f"environment {name}"
        if is_secret(path) and path not in SECRETS:
            findings.append(Finding("error", where, "this client setting is ours", "", secret_remedy(path)))
        elif known(path):
            yield Value(path, typed(path, raw), where)
        elif len(path) > 1:
            remedy = did_you_mean(name, [variable(p) for p in LEAVES])
            findings.append(Finding("error", where, "there is no such setting", "", remedy or ALL))
        elif path[0].replace("_", "") in _FLAT and "://" not in raw:
            # Kubernetes makes TIDEGATE_HTTP_PORT=tcp://… for a service of that name: that is no setting.
            meant = variable(_FLAT[path[0].replace("_", "")])
            why = "two underscores part a section from its key"
            findings.append(
                Finding("error", where, "there is no such setting", why, f"Did you mean {meant}?")
            )


def from_options(options: Sequence[str], findings: list[Finding]) -> Iterator[Value]:
    """Settings from `--set a.b=value`; the value is YAML."""
    for option in options:
        name, equals, raw = option.partition("=")
        path, where = tuple(name.strip().split(".")), f"--set {name.strip()}"
        if not equals:
            what = "an option needs the form section.key=value"
            findings.append(Finding("error", where, what, "", "For example --set kafka.group=mine"))
        elif not known(path):
            remedy = did_you_mean(".".join(path), [".".join(p) for p in LEAVES])
            findings.append(Finding("error", where, "there is no such setting", "", remedy or ALL))
        elif is_secret(path):
            why = "command lines can be read by everyone on the machine"
            findings.append(Finding("error", where, "a secret on the command line", why, secret_remedy(path)))
        else:
            yield Value(path, typed(path, raw, quoted=True), where)


def known(path: Path_) -> bool:
    """Whether a path names a setting, or an entry of a free mapping such as kafka.consumer."""
    return path in LEAVES or (len(path) > 1 and path[:-1] in FREE and bool(path[-1]))


def is_secret(path: Sequence[str | int]) -> bool:
    """Whether a value at this path must never be written down or printed."""
    names = tuple(map(str, path))
    return names in SECRETS or (
        names[:-1] in FREE and any(s in names[-1] for s in ("password", "secret", "token"))
    )


def secret_remedy(path: Sequence[str | int]) -> str:
    """Where a secret belongs instead."""
    names = tuple(map(str, path))
    if names not in SECRETS:
        names = ("kafka", "security", "password")
    return f"Put it into the environment as {variable(names)}, or into a file named by {'.'.join(names)}_file"


def typed(path: Path_, raw: str, *, quoted: bool = False) -> Any:
    """A text as the kind of value its setting takes; `quoted`: YAML quotes around a string are taken off."""
    kinds = KINDS.get(path, {object})
    if type(None) in kinds and (raw == "" or (quoted and raw in ("null", "~"))):
        return None
    if list in kinds:
        return _list(raw, may_be_pattern=str in kinds)
    if kinds & {str, SecretStr, Path}:
        value = _yaml(raw) if quoted and raw[:1] in ("'", '"') else raw
        return value if isinstance(value, str) else raw
    return _yaml(raw)


def _list(raw: str, *, may_be_pattern: bool) -> Any:
    text = raw.strip()
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return _yaml(text)
    if may_be_pattern and text.startswith("^"):
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _yaml(raw: str) -> Any:
    try:
        return yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError):
        return raw
