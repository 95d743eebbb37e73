"""Training by epochs: goes on where it was, keeps the best, stops when worse, leaves the frozen alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from engines.training.epochs import Plan, fit, planned  # noqa: E402
from engines.training.watch import Watch  # noqa: E402

pytestmark = pytest.mark.train
ROWS = torch.linspace(-1, 1, 32).unsqueeze(1)


@dataclass
class Line:
    """Learn y = 2x; judged by what is asked for."""

    name: str = "line"
    net: nn.Module = field(
        default_factory=lambda: nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1))
    )
    judged: list[float] = field(default_factory=list)
    cut: int = 99

    def batches(self, epoch: int) -> list:
        if epoch == self.cut:
            raise KeyboardInterrupt
        return list(ROWS.split(8))

    def loss(self, batch):
        return (self.net(batch) - 2 * batch).square().mean()

    def judge(self) -> float:
        return self.judged.pop(0) if self.judged else float("nan")


def line(**more) -> Line:
    torch.manual_seed(0)
    return Line(**more)


def weights(made: Line) -> list[float]:
    return [float(x.detach()) for p in made.net.parameters() for x in p.flatten()]


def test_a_run_that_was_cut_goes_on_and_ends_the_same(tmp_path):
    whole, told = line(), []
    fit(whole, Plan(6, rate=0.05), 1, Watch())
    with pytest.raises(KeyboardInterrupt):
        fit(line(cut=3), Plan(6, rate=0.05), 1, Watch(), tmp_path / "state")
    again = line()
    fit(again, Plan(6, rate=0.05), 1, Watch(told.append), tmp_path / "state")
    assert told[0] == "line: goes on after epoch 3"
    assert weights(again) == weights(whole)


def test_the_best_epoch_is_kept_and_worse_ones_end_it():
    best, made, told = line(), line(judged=[3.0, 1.0, 2.0, 2.5, 0.5]), []
    fit(made, Plan(5, rate=0.05), 1, Watch(told.append), patience=2)
    assert told[-1] == "line: no better for 2 epochs, back to epoch 2"
    best.judged = [3.0, 1.0, 9.0, 9.0, 9.0]
    fit(best, Plan(5, rate=0.05), 1, Watch())
    assert weights(made) == weights(best)


def test_what_is_frozen_stays_and_has_no_dropout():
    made = line()
    made.net = nn.Sequential(nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1)), nn.Linear(1, 1))
    made.net[0].requires_grad_(False)
    mean = made.net[0][0].running_mean.clone()
    fit(made, Plan(2, rate=0.05), 1, Watch())
    assert torch.equal(made.net[0][0].running_mean, mean)


def test_few_rows_get_small_batches_and_more_epochs():
    few, many = planned(0, 0, 1e-3, 0.0, 200, 256), planned(0, 0, 1e-3, 0.0, 90_000, 256)
    assert few.rows < many.rows == 256
    assert few.epochs > many.epochs
    assert planned(3, 64, 1e-3, 0.0, 200, 256) == Plan(3, 64, 1e-3, 0.0)
