"""How torch is told to compute fp32 as fp32."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from engines.torchgraph import library  # noqa: E402


def test_it_never_mixes_the_old_names_with_the_new() -> None:
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, conv.fp32_precision
    try:
        matmul.fp32_precision = "tf32"
        library.exact()
        assert (matmul.fp32_precision, conv.fp32_precision) == ("ieee", "ieee")
        assert not matmul.allow_tf32  # raises where both names were used
    finally:
        matmul.fp32_precision, conv.fp32_precision = before


def test_a_torch_without_the_new_names_is_told_by_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, cudnn = SimpleNamespace(allow_tf32=True), SimpleNamespace(allow_tf32=True)
    old = SimpleNamespace(backends=SimpleNamespace(cuda=SimpleNamespace(matmul=matmul), cudnn=cudnn))
    monkeypatch.setattr(library, "torch", old)
    library.exact()
    assert not matmul.allow_tf32
    assert not cudnn.allow_tf32
