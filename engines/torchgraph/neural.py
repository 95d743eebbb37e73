"""Operators of networks: products, convolutions, pooling, normalisation, attention."""

from __future__ import annotations

from typing import Any, Final

from engines.errors import EngineError
from engines.torchgraph.graph import Node
from engines.torchgraph.library import Tensor, functional, torch
from engines.torchgraph.table import Kernel, operator, simple

_CONVOLUTIONS: Final = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_MAXIMA: Final = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGES: Final = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}

simple("MatMul", torch.matmul)
simple("GlobalAveragePool", lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True))


@operator("Linear")
def _linear(node: Node, device: str) -> Kernel:
    """Made by fusing: x, weight [out, in], bias [out] or none."""
    return functional.linear  # type: ignore[no-any-return]


@operator("Gemm")
def _gemm(node: Node, device: str) -> Kernel:
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    flip, turn = node.attributes.get("transA", 0), node.attributes.get("transB", 0)

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        left, right = a.t() if flip else a, b.t() if turn else b
        if c is None:
            return (left @ right) * alpha if alpha != 1.0 else left @ right
        return torch.addmm(c, left, right, beta=beta, alpha=alpha)

    return run


@operator("Conv")
def _conv(node: Node, device: str) -> Kernel:
    given = node.attributes
    pads, groups = _pads(node), given.get("group", 1)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        rank = x.ndim - 2
        strides, gaps = given.get("strides", [1] * rank), given.get("dilations", [1] * rank)
        x, even = _padded(x, pads or [0] * 2 * rank, 0.0)
        kind = x.dtype
        if device == "cpu" and groups > 1 and kind != torch.float32:
            # On CPUs with bfloat16 units torch answers a grouped convolution in bfloat16 with noise.
            x, weight, bias = x.float(), weight.float(), None if bias is None else bias.float()
        return _CONVOLUTIONS[rank](x, weight, bias, strides, even, gaps, groups).to(kind)

    return run


@operator("MaxPool", "AveragePool")
def _pool(node: Node, device: str) -> Kernel:
    given = node.attributes
    kernel, pads = given["kernel_shape"], _pads(node)
    rank = len(kernel)
    strides, up = given.get("strides", [1] * rank), bool(given.get("ceil_mode", 0))
    gaps = given.get("dilations", [1] * rank)
    if len(node.outputs) > 1 or (node.op == "AveragePool" and (any(pads) or max(gaps) > 1)):
        raise EngineError("A graph pools in a way that the torch engine does not know", why=node.op)

    def run(x: Tensor) -> Tensor:
        if node.op == "AveragePool":
            return _AVERAGES[rank](x, kernel, strides, 0, up)
        x, even = _padded(x, pads or [0] * 2 * rank, float("-inf"), [size // 2 for size in kernel])
        return _MAXIMA[rank](x, kernel, strides, even, gaps, up)

    return run


@operator("LayerNormalization")
def _layer_norm(node: Node, device: str) -> Kernel:
    axis, epsilon = node.attributes.get("axis", -1), node.attributes.get("epsilon", 1e-5)
    if len(node.outputs) > 1:
        raise EngineError("A graph wants more of a normalisation than torch gives", why="mean and deviation")
    return lambda x, scale, bias=None: functional.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


@operator("BatchNormalization")
def _batch_norm(node: Node, device: str) -> Kernel:
    epsilon = node.attributes.get("epsilon", 1e-5)
    if node.attributes.get("training_mode"):
        raise EngineError("A graph cannot be run: it would train", why="BatchNormalization in training mode")
    return lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, eps=epsilon)


@operator("InstanceNormalization")
def _instance_norm(node: Node, device: str) -> Kernel:
    epsilon = node.attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias: functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@operator("ScaledAttention")
def _scaled_attention(node: Node, device: str) -> Kernel:
    """Made by fusing: queries, keys turned for a product, values, what is added to the scores or none."""
    scale = node.attributes["scale"]

    def run(q: Tensor, turned: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        return _attention(q, turned.transpose(-1, -2), v, bias, scale)

    return run


@operator("Attention")
def _onnx_attention(node: Node, device: str) -> Kernel:
    given = node.attributes
    causal, scale = bool(given.get("is_causal", 0)), given.get("scale")
    if given.get("softcap") or len(node.inputs) > 4 or len(node.outputs) > 1:
        raise EngineError("A graph attends in a way that the torch engine does not know", why="Attention")
    heads, pairs = given.get("q_num_heads", 0), given.get("kv_num_heads", 0)

    def run(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        flat = q.ndim == 3
        if flat:
            q, k, v = (
                x.unflatten(2, (n, -1)).transpose(1, 2) for x, n in ((q, heads), (k, pairs), (v, pairs))
            )
        shared = q.shape[1] != k.shape[1]
        found = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias, is_causal=causal, scale=scale, enable_gqa=shared
        )
        return found.transpose(1, 2).flatten(2) if flat else found

    return run


@operator("Resize")
def _resize(node: Node, device: str) -> Kernel:
    given = node.attributes
    mode, grid = given.get("mode", "nearest"), given.get("coordinate_transformation_mode", "half_pixel")
    how = {
        ("nearest", "asymmetric"): ("nearest", None),
        ("linear", "half_pixel"): ("linear", False),
        ("linear", "pytorch_half_pixel"): ("linear", False),
        ("linear", "align_corners"): ("linear", True),
        ("cubic", "half_pixel"): ("bicubic", False),
        ("cubic", "pytorch_half_pixel"): ("bicubic", False),
        ("cubic", "align_corners"): ("bicubic", True),
    }.get((mode, grid))
    odd = given.get("antialias") or given.get("exclude_outside") or given.get("axes")
    floor = mode != "nearest" or given.get("nearest_mode") == "floor"
    cubic = mode != "cubic" or abs(given.get("cubic_coeff_a", -0.75) + 0.75) < 1e-6
    if how is None or odd or not floor or not cubic or len(node.inputs) < 4:
        raise EngineError("A graph resizes in a way that torch does not", why=f"{mode}, {grid}")

    def run(x: Tensor, roi: Tensor | None, scales: Tensor | None, sizes: Tensor) -> Tensor:
        name = "bilinear" if how[0] == "linear" and x.ndim == 4 else how[0]
        wanted = [int(size) for size in sizes.tolist()]
        if wanted[:2] != list(x.shape[:2]):
            raise EngineError("A graph resizes rows or channels", why=f"{list(x.shape)} to {wanted}")
        return functional.interpolate(x, wanted[2:], mode=name, align_corners=how[1])

    return run


def _attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    flat = q.ndim == 3  # the fast kernels want four dimensions
    if flat:
        q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return found.squeeze(0) if flat else found


def _pads(node: Node) -> list[int]:
    automatic = node.attributes.get("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID", ""):
        raise EngineError("A graph pads in a way that the torch engine does not know", why=automatic)
    return list(node.attributes.get("pads", ()))


def _padded(x: Tensor, pads: list[int], value: float, most: list[int] | None = None) -> tuple[Tensor, Any]:
    """The input padded as far as the operator cannot do it itself, and what is left to the operator."""
    rank = len(pads) // 2
    before, after = pads[:rank], pads[rank:]
    if before == after and (most is None or all(p <= m for p, m in zip(before, most, strict=True))):
        return x, before
    flat = [size for k in reversed(range(rank)) for size in (before[k], after[k])]
    return functional.pad(x, flat, value=value), [0] * rank
