"""JSON as the contract reads it: UTF-8, no NaN, no lone surrogates, not too deep; last of duplicate keys."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import orjson

from service.errors import RecordError

_BOM: Final = b"\xef\xbb\xbf"
_LONG_NUMBER: Final = 18  # digits; a longer integer may not fit, and only its magnitude matters


def load(value: bytes) -> Any:
    """The parsed value; a number too large for a float is infinity. Raises `RecordError` invalid_json."""
    if value.startswith(_BOM):
        value = value[len(_BOM) :]
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        why = error.msg
    if why.startswith("number is infinity"):  # legal where the field is unknown: the fields judge
        return _load_with_infinity(value)
    raise _invalid(_hint(why))


def _load_with_infinity(value: bytes) -> Any:
    """The same, by a slower parser that lets 1e400 through."""
    try:
        tree = json.loads(value.decode(), parse_constant=_refuse, parse_int=_integer)
        json.dumps(tree, ensure_ascii=False).encode()  # fails on a lone surrogate
    except UnicodeDecodeError as error:
        raise _invalid("not UTF-8") from error
    except UnicodeEncodeError as error:
        raise _invalid("a lone surrogate") from error
    except RecursionError as error:
        raise _invalid("nested too deep") from error
    except ValueError as error:
        raise _invalid("syntax") from error
    return tree


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONG_NUMBER else float(digits)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _hint(why: str) -> str:
    """Which of the contract's faults it was, without any of the value."""
    for sign, hint in (
        ("depth limit", "nested too deep"),
        ("valid UTF-8", "not UTF-8"),
        ("surrogate", "a lone surrogate"),
    ):
        if sign in why:
            return hint
    return "syntax"


def _invalid(detail: str) -> RecordError:
    return RecordError("invalid", "invalid_json", detail)
