"""What a check has to say about a configuration, and the error that carries all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend (`error`) or to think about (`warning`)."""

    level: Literal["error", "warning"]
    where: str
    what: str
    why: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.why:
            text += f": {self.why}"
        return text + (f". {self.remedy}" if self.remedy else "")


def error(where: str, what: str, why: str = "", remedy: str = "") -> Finding:
    """A finding that must be mended."""
    return Finding("error", where, what, why, remedy)


def warning(where: str, what: str, why: str = "", remedy: str = "") -> Finding:
    """A finding to think about."""
    return Finding("warning", where, what, why, remedy)


class Refused(ConfigError):  # noqa: N818 - says what happened, as in `raise Refused`
    """A configuration or policy with errors; `findings` holds every one of them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        first = findings[0]
        if len(findings) == 1:
            super().__init__(first.what, where=first.where, why=first.why, remedy=first.remedy)
        else:
            why = "\n".join(map(str, findings))
            super().__init__(f"{len(findings)} errors", why=why, remedy="Mend each, then try again")

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise `Refused` with the errors among the findings, if there are any."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise Refused(errors)


_EXPECTED: Final = (
    ("int", "a whole number"),
    ("float", "a number"),
    ("finite_number", "a finite number"),
    ("bool", "true or false"),
    ("list", "a list"),
    ("dict", "a mapping of names to values"),
    ("model", "a section: its keys, indented, each with its value"),
    ("string_type", "a text"),
    ("path_type", "a path"),
    ("greater_than_equal", "at least {ge:.12g}"),
    ("greater_than", "more than {gt:.12g}"),
    ("less_than_equal", "at most {le:.12g}"),
    ("less_than", "under {lt:.12g}"),
    ("string_pattern_mismatch", "letters, digits, dots, underscores and hyphens only"),
    ("string_too_short", "at least {min_length} character long"),
    ("string_too_long", "at most {max_length} characters long"),
    ("too_short", "of at least {min_length} entry"),
    ("too_long", "of at most {max_length} entries"),
    ("literal_error", "{expected}"),
)
_REMEDIES: Final = (
    ("int", "Write a whole number, for example {example}"),
    ("float", "Write a number, for example {example}"),
    ("finite_number", "Write a number, for example {example}"),
    ("bool", "Write true or false"),
    ("list", "Write a list, for example [one, two]"),
    ("dict", "Write a mapping of names to values"),
    ("model", "Write a section: its keys, indented, each with its value"),
    ("string_type", "Write one text, in quotes where it could be taken for a number"),
    ("path_type", "Write the path of a file"),
    ("string_too_long", "Shorten it"),
    ("string_pattern_mismatch", "Use letters, digits, dots, underscores and hyphens only"),
    ("literal_error", "Take one of these"),
    ("too_long", "Leave some out"),
    ("too_short", "Give at least one"),
    ("string_too_short", "Give it a value, or leave the key out for its default"),
    ("greater_than", "Choose a value within the bound, for example {example}"),
    ("less_than", "Choose a value within the bound, for example {example}"),
)


def expected(fault: str, context: Mapping[str, object], message: str = "") -> str:
    """What a value must be, by pydantic's name for its fault and the bounds in its context."""
    said = (words for start, words in _EXPECTED if fault.startswith(start))
    words = next(said, None)
    return f"it must be {words.format(**context)}" if words else message[:1].lower() + message[1:]


def remedy_for(fault: str, example: object = 1000) -> str:
    """What to do about a value that does not fit, by pydantic's name for the fault; never empty."""
    said = (remedy for start, remedy in _REMEDIES if fault.startswith(start))
    return next(said, "`tidegate create` shows its form").format(example=example)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: its nearest known neighbours, or all of them when few."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
    return f"Known here: {', '.join(names)}" if 0 < len(names) <= 30 else ""
