"""What a graph takes and gives, as its file says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from engines.errors import EngineError

ROWS: Final = "rows"
"""The first dimension of every input and output."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input or output of a graph: dimensions are numbers, or names as the graph spells them."""

    name: str
    dtype: str
    dims: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a graph takes and gives."""

    inputs: tuple[Input, ...]
    outputs: tuple[Input, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """The named dimensions of the inputs, in their order, but the rows."""
        return tuple(dict.fromkeys(axis for one in self.inputs for axis in axes_of(one)))

    @classmethod
    def of(cls, graph: bytes) -> Signature:
        """The signature of an ONNX file's bytes; raises EngineError."""
        try:
            import onnx
            from onnx.helper import tensor_dtype_to_np_dtype
        except ImportError as error:
            raise EngineError(
                "Plans cannot be made",
                why=f"the package onnx is missing: {error}",
                remedy="pip install 'tidegate[gpu]'",
            ) from error
        try:
            model = onnx.load_model_from_string(graph)
        except Exception as error:  # what the parser raises is its own choice
            raise _bad(f"it is no ONNX: {str(error)[:200]}") from error
        if not model.graph.output:
            raise _bad("it gives nothing")
        held = {one.name for one in model.graph.initializer}

        def read(values: Iterable[Any]) -> tuple[Input, ...]:
            found = (one for one in values if one.name not in held)
            return tuple(
                Input(one.name, tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type).name, _dims(one))
                for one in found
            )

        return cls(read(model.graph.input), read(model.graph.output))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Signature:
        """The inverse of `to_dict`; raises EngineError."""
        try:
            parts = ([_input(one) for one in tree[part]] for part in ("inputs", "outputs"))
            return cls(*map(tuple, parts))
        except (KeyError, TypeError) as error:
            raise EngineError("A graph's signature cannot be read", why=repr(error)) from error


def axes_of(one: Input) -> tuple[str, ...]:
    """The named dimensions of one input but the rows."""
    return tuple(dim for dim in one.dims if isinstance(dim, str) and dim != ROWS)


def _dims(value: Any) -> tuple[str | int, ...]:
    dims = value.type.tensor_type.shape.dim
    if not dims or dims[0].dim_value:
        raise _bad(f"{value.name} does not begin with rows")
    rest = (dim.dim_value or dim.dim_param or f"{value.name}.{k}" for k, dim in enumerate(dims[1:], start=1))
    return ROWS, *rest


def _input(tree: Mapping[str, Any]) -> Input:
    return Input(str(tree["name"]), str(tree["dtype"]), tuple(tree["dims"]))


def _bad(why: str) -> EngineError:
    return EngineError("A graph cannot be planned for", why=why, remedy="Write the bundle anew")
