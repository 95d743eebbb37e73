"""YAML read safely, with the place of every key and value kept, so that errors can point at the line."""

from __future__ import annotations

import difflib
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from service.errors import ConfigError
from service.findings import Finding, Refused

MAX_BYTES: Final = 1 << 20
MERGE: Final = "tag:yaml.org,2002:merge"
PLAIN: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
SYNTAX: Final = "Mend the line; brackets, quotes and indentation are the usual suspects"
MAX_NODES: Final = 20_000  # aliases that multiply (a "billion laughs") end here

Key = tuple[str | int, ...]


class Place(NamedTuple):
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A parsed file: plain data, where each part stands, and keys that stand twice."""

    name: str
    data: Any
    places: dict[Key, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def where(self, key: Key) -> str:
        """`file:line:column` of a key, or of its nearest parent that is in the file."""
        while key and key not in self.places:
            key = key[:-1]
        place = self.places.get(key)
        return f"{self.name}:{place.line}:{place.column}" if place else self.name


def read_document(path: Path, what: str, besides: Path | None = None) -> Document:
    """Read a YAML file, `-` is standard input; `what` names it in errors. Raises ConfigError.

    `besides` is never suggested for one that is missing: the file that named this one.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _unreadable(what, path, "there is no such file", _siblings(path, besides)) from error
    except OSError as error:
        raise _unreadable(
            what, path, error.strerror or str(error), "Check the path and its permissions"
        ) from error
    if len(data) > MAX_BYTES:
        raise _unreadable(what, path, f"it is larger than {MAX_BYTES} bytes", "Is it the right file?")
    try:
        return parse_document(data.decode(), str(path), what)
    except UnicodeDecodeError as error:
        raise _unreadable(what, path, f"it is not UTF-8 at byte {error.start}", "Save it as UTF-8") from error


def parse_document(text: str, name: str, what: str = "YAML") -> Document:
    """Parse YAML text; an empty one is an empty mapping. Raises Refused on bad syntax."""
    document = Document(name, {})
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _Reader(loader, document).read(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        why = ", ".join(part for part in (error.context, error.problem) if part)
        raise Refused([Finding("error", where, f"the {what} is not valid YAML", why, _hint(why))]) from error
    except yaml.YAMLError as error:  # a control character, already as the loader is made
        why = getattr(error, "reason", "") or "it cannot be read"
        raise Refused([Finding("error", name, f"the {what} is not valid YAML", why, SYNTAX)]) from error
    except RecursionError as error:
        raise Refused([Finding("error", name, f"the {what} is nested too deep", "", SYNTAX)]) from error
    return document


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self.loader, self.document, self.nodes = loader, document, 0

    def read(self, node: Node, key: Key) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(key) > 40:
            raise yaml.MarkedYAMLError(
                problem="it is nested or repeated without bound", problem_mark=node.start_mark
            )
        self.document.places.setdefault(key, Place(node.start_mark.line + 1, node.start_mark.column + 1))
        if not isinstance(node, ScalarNode) and node.tag not in PLAIN:
            problem = f"the tag {node.tag.removeprefix('tag:yaml.org,2002:')} is not known"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if isinstance(node, MappingNode):
            return self._mapping(node, key)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*key, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: Node) -> Any:
        try:
            return self.loader.construct_object(node, deep=True)
        except ValueError as error:  # `2024-13-45` looks like a date and is none
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error

    def _mapping(self, node: MappingNode, key: Key) -> dict[str, Any]:
        seen: dict[str, Node] = {}
        for name_node, _ in node.value:
            name = self._name(name_node)
            if name in seen and name_node.tag != MERGE:
                self._twice(name, name_node, seen[name], key)
            seen.setdefault(name, name_node)
        if any(k.tag == MERGE for k, _ in node.value):
            self.loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for name_node, value in node.value:
            name = self._name(name_node)
            result[name] = self.read(value, (*key, name))
            self.document.places[(*key, name)] = Place(
                name_node.start_mark.line + 1, name_node.start_mark.column + 1
            )
        return result

    def _name(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=node.start_mark)
        return str(node.value)

    def _twice(self, name: str, node: Node, first: Node, key: Key) -> None:
        where = f"{self.document.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        path = ".".join(map(str, (*key, name)))
        why = f"it stands first on line {first.start_mark.line + 1}, and only one of the two could count"
        self.document.findings.append(
            Finding("error", where, f"'{path}' stands twice", why, "Remove one of them")
        )


def _hint(why: str) -> str:
    if "\\t" in why:
        return "Indent with spaces, not tabs"
    return "Values with ':' or '#' in them need quotes" if "mapping values" in why else SYNTAX


def _siblings(path: Path, besides: Path | None) -> str:
    """A file of the same kind with nearly the same name; never the file that named this one."""
    folder = path.parent
    try:
        there = [each for each in folder.iterdir() if each.suffix == path.suffix and each.is_file()]
    except OSError:
        there = []
    stems = [each.stem for each in there if besides is None or each.absolute() != besides.absolute()]
    near = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.75)
    return f"Did you mean {folder / (near[0] + path.suffix)}?" if near else "Check the path"


def _unreadable(what: str, path: Path, why: str, remedy: str) -> ConfigError:
    return ConfigError(f"the {what} cannot be read", where=str(path), why=why, remedy=remedy)
