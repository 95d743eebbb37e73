"""A commented configuration, generated from the settings tree so that the two cannot drift apart."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from service.config import Section, Settings
from service.layers import SECRETS, variable

WIDTH: Final = 100
HEAD: Final = """\
# Tidegate. Every setting with its default; keep what you change and delete the rest.
# Check it with `tidegate lint -c FILE`, and against the cluster with `tidegate doctor -c FILE`.
# The environment wins over this file (kafka.group is TIDEGATE_KAFKA__GROUP), `--set kafka.group=…` over both.
# Relative paths count from this file. Secrets are refused here: use the environment or a file of their own.
"""


def template() -> str:
    """The configuration as YAML text; loading it gives the defaults."""
    return HEAD + "\n" + "\n".join(_section(Settings, (), Settings()))


def _section(section: type[Section], at: tuple[str, ...], defaults: BaseModel) -> Iterator[str]:
    indent = "  " * len(at)
    for number, (name, info) in enumerate(section.model_fields.items()):
        path, value = (*at, name), getattr(defaults, name)
        if number and not at:
            yield ""
        if isinstance(value, Section):
            yield from _comment(type(value).__doc__ or "", indent)
            yield f"{indent}{name}:"
            yield from _section(type(value), path, value)
        elif path in SECRETS:
            yield from _comment(f"{name} never stands here; set {variable(path)}, or {name}_file.", indent)
        else:
            yield from _comment(_about(info, value), indent)
            yield f"{indent}{name}: {_value(value)}"
    if not at:
        yield ""


def _about(info: FieldInfo, value: Any) -> str:
    text = info.description or ""
    choices = _choices(info.annotation)
    if len(choices) > 1:
        text += f" One of {', '.join(choices)}."
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 20 and value % (1 << 20) == 0:
        text += f" ({value >> 20} MiB)"
    return text


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for arm in get_args(annotation) for choice in _choices(arm)]


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def _value(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()
