"""Training by epochs: the state is kept after each, the best one wins, and worse ones end it early."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engines.training.watch import Watch
from engines.training.work import damaged

_STEPS: Final = 1_200
"""Steps that training of unsaid length aims at."""
_EPOCHS: Final = (6, 30)
_SMALLEST: Final = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is trained."""

    epochs: int
    rows: int = 128
    rate: float = 2e-3
    decay: float = 0.01


def planned(epochs: int, rows: int, rate: float, decay: float, count: int, most: int) -> Plan:
    """A plan for ``count`` training rows; epochs and rows of 0 are chosen: enough steps to learn on few
    rows, no more than needed on many. ``most`` rows fit in a batch.
    """
    rows = rows or min(most, max(_SMALLEST, 2 ** round(math.log2(max(1, count / 24)))))
    low, high = _EPOCHS
    return Plan(epochs or min(high, max(low, math.ceil(_STEPS * rows / max(1, count)))), rows, rate, decay)


class Lesson(Protocol):
    """A network and what it learns from."""

    @property
    def name(self) -> str:
        """What is trained."""
        ...

    @property
    def net(self) -> nn.Module:
        """The network."""
        ...

    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch, the same each time it is asked."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """What a batch costs, with all that training adds."""
        ...

    def judge(self) -> float:
        """The loss on rows that are not learnt from; NaN where there are none."""
        ...


@dataclass(slots=True)
class _State:
    """Where training stands: ``best`` holds the learnt tensors of the best epoch."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)


def fit(
    lesson: Lesson, plan: Plan, seed: int, log: Watch, kept: Path | None = None, patience: int = 0
) -> None:
    """Train; the network ends as it was after its best epoch. ``kept`` is the file of the state so far."""
    device = device_here()
    net = lesson.net.to(device)
    learnt = {name: p for name, p in net.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(learnt.values(), lr=plan.rate, weight_decay=plan.decay)
    state = _restored(kept, net, optimiser, device)
    if state.epoch:
        log(f"{lesson.name}: goes on after epoch {state.epoch}")
    with device, log.bar(lesson.name, plan.epochs) as advance:
        advance(state.epoch)
        while state.epoch < plan.epochs:
            mean = _epoch(lesson, plan, seed, optimiser, learnt.values(), state.epoch)
            state.epoch += 1
            judged = _judged(lesson)
            _remember(state, net, judged)
            if kept is not None:
                _keep(kept, net, optimiser, state)
            held = "" if math.isnan(judged) else f", {judged:.3f} on held-out rows"
            log(f"{lesson.name}: epoch {state.epoch} of {plan.epochs}, loss {mean:.3f}{held}")
            advance(1)
            if patience and state.epoch - state.best_epoch >= patience:
                log(f"{lesson.name}: no better for {patience} epochs, back to epoch {state.best_epoch}")
                break
    if state.best:
        put(net, state.best)
    net.to("cpu").eval()


def device_here() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learnt_of(net: nn.Module) -> dict[str, Tensor]:
    """Copies of what training changes: parameters that learn, and buffers (running means, say)."""
    own: dict[str, Tensor] = {name: p for name, p in net.named_parameters() if p.requires_grad}
    lasting = net.state_dict().keys()
    own |= {name: b for name, b in net.named_buffers() if name in lasting}
    return {name: tensor.detach().cpu().clone() for name, tensor in own.items()}


def put(net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """The inverse of `learnt_of`."""
    net.load_state_dict(tensors, strict=False)


def keep(path: Path, tensors: dict[str, Tensor], told: dict[str, Any] | None = None) -> None:
    """Write tensors at once or not at all; ``told`` goes into the file's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({name: t.contiguous() for name, t in tensors.items()}, part, {"told": json.dumps(told or {})})
    part.replace(path)


def recall(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `keep` wrote, None where there is no such file; raises EngineError for a damaged one."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return tensors, json.loads((file.metadata() or {}).get("told", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from error


def _epoch(
    lesson: Lesson, plan: Plan, seed: int, optimiser: torch.optim.AdamW, learnt: Iterable[Tensor], epoch: int
) -> float:
    torch.manual_seed(seed * 1_000_003 + epoch)  # by the epoch, so that a cut run goes on as if it wasn't
    _awake(lesson.net)
    batches = lesson.batches(epoch)
    total = 0.0
    for k, batch in enumerate(batches):
        share = (epoch + k / len(batches)) / plan.epochs
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * _schedule(share)
        loss = lesson.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        total += float(loss.detach())
    return total / max(1, len(batches))


def _awake(net: nn.Module) -> None:
    """Training mode but for what is frozen: a frozen encoder has neither dropout nor moving means."""
    net.train()
    for module in net.modules():
        own = [p.requires_grad for p in module.parameters()]
        if own and not any(own):
            module.eval()


def _schedule(share: float) -> float:
    """Up in the first tenth, then down along a cosine."""
    return max(share / 0.1, 0.04) if share < 0.1 else 0.5 + 0.5 * math.cos(math.pi * (share - 0.1) / 0.9)


def _judged(lesson: Lesson) -> float:
    lesson.net.eval()
    with torch.inference_mode():
        return lesson.judge()


def _remember(state: _State, net: nn.Module, judged: float) -> None:
    """An epoch that is not judged is better than all before."""
    if math.isnan(judged) or judged < state.best_loss:
        state.best_loss = math.inf if math.isnan(judged) else judged
        state.best_epoch, state.best = state.epoch, learnt_of(net)


def _keep(path: Path, net: nn.Module, optimiser: torch.optim.AdamW, state: _State) -> None:
    tensors = {f"net.{name}": tensor for name, tensor in learnt_of(net).items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
    for k, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moments.{k}.{name}": value.cpu().clone() for name, value in moments.items()}
    best_loss = None if math.isinf(state.best_loss) else state.best_loss
    keep(path, tensors, {"epoch": state.epoch, "best_epoch": state.best_epoch, "best_loss": best_loss})


def _restored(
    path: Path | None, net: nn.Module, optimiser: torch.optim.AdamW, device: torch.device
) -> _State:
    found = recall(path) if path else None
    if found is None:
        return _State()
    tensors, told = found
    put(net, _under(tensors, "net."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "moments.").items():
        k, own = name.split(".")
        state.setdefault(int(k), {})[own] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    best_loss = math.inf if told["best_loss"] is None else float(told["best_loss"])
    return _State(int(told["epoch"]), int(told["best_epoch"]), best_loss, _under(tensors, "best."))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
