"""What is wrong with a YAML text, in words for who wrote it."""

from __future__ import annotations

import yaml
from yaml.reader import ReaderError


def yaml_mistake(error: yaml.YAMLError) -> str:
    """Where and what, without the parser's name for a text in memory, `<unicode string>`."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark) is not None:
        return f"it is not YAML at line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, ReaderError):
        return f"it is not YAML at character {error.position + 1}: {error.reason}"
    return f"it is not YAML: {' '.join(str(error).split())}"
