"""The fused head: experts where one modality speaks, a cross term where several do, no word of the absent."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from torch import nn  # noqa: E402

from engines.batch import MODALITIES  # noqa: E402
from engines.export import FORBIDDEN, export  # noqa: E402
from engines.model.config import ModelConfig  # noqa: E402
from engines.model.fusion import FUSIONS, FusionHead  # noqa: E402
from engines.model.losses import UNKNOWN, severity_loss  # noqa: E402
from engines.training.dataset import gather  # noqa: E402
from engines.training.epochs import Plan  # noqa: E402
from engines.training.head import Meeting, train_head  # noqa: E402
from engines.training.targets import hard  # noqa: E402

pytestmark = pytest.mark.train
LABELS = ("a", "b", "c")
EVERY = torch.tensor([[p >> m & 1 for m in range(3)] for p in range(8)], dtype=torch.float32)
COUNTS = (3, 2, 1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def made(fusion="bottleneck", severity=False, crossing=True) -> FusionHead:
    text, image, audio = COUNTS
    head = FusionHead(
        ModelConfig(
            LABELS, width=32, text_tokens=text, image_tokens=image, audio_tokens=audio, fusion=fusion,
            severity=severity,
        )
    )  # fmt: skip
    if crossing:  # as if it were trained
        nn.init.normal_(head.cross.weight, std=0.3)
    return head.eval()


def slots(rows: int = 8) -> list[torch.Tensor]:
    return [torch.randn(rows, count, 32) for count in COUNTS]


def experts(head: FusionHead, tokens: list[torch.Tensor]) -> list[torch.Tensor]:
    """What each expert says: [rows, 3 + labels]."""
    return [expert(own.flatten(1)) for expert, own in zip(head.experts, tokens, strict=True)]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_event_of_one_modality_gets_exactly_what_its_expert_says(fusion):
    head, tokens = made(fusion), slots()
    sentiment, moderation, unimodal, _ = head(*tokens, EVERY)
    for m, said in enumerate(experts(head, tokens)):
        row = 1 << m
        assert torch.allclose(sentiment[row], said[row, :3], atol=1e-6)
        assert torch.allclose(moderation[row], said[row, 3:], atol=1e-5)
        assert torch.allclose(unimodal[row, m], said[row, :3], atol=1e-6)


def test_without_a_cross_term_the_head_is_late_fusion():
    head, tokens = made(crossing=False), slots()
    sentiment, moderation, _, _ = head(*tokens, EVERY)
    text, image, audio = experts(head, tokens)
    assert torch.allclose(sentiment[7], (text + image + audio)[7, :3], atol=1e-5)
    odds = torch.exp(text) + torch.exp(image) + torch.exp(audio)
    assert torch.allclose(moderation[7], odds.log()[7, 3:], atol=1e-5)


def test_from_two_modalities_on_the_cross_term_counts():
    tokens = slots()
    head = made()
    with_it = head(*tokens, EVERY)[1]
    nn.init.zeros_(head.cross.weight)
    moved = (with_it - head(*tokens, EVERY)[1]).abs().amax(dim=1)
    assert [bool(x > 1e-3) for x in moved] == [bin(p).count("1") > 1 for p in range(8)]


def test_an_expert_says_nothing_of_what_it_was_not_taught():
    head, tokens = made(crossing=False), slots()
    taught = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]])  # sentiment, then a, b, c
    said = [nn.Linear(count * 32, 6) for count in COUNTS]
    head.adopt(said, taught)
    sentiment, moderation, unimodal, _ = head(*tokens, EVERY)
    text, image, audio = (e(own.flatten(1)) for e, own in zip(said, tokens, strict=True))
    assert torch.allclose(sentiment[7], (text + audio)[7, :3], atol=1e-5)
    assert torch.equal(unimodal[7, 1], torch.zeros(3))
    assert torch.allclose(moderation[7, 0], (text[7, 3].exp() + image[7, 3].exp()).log(), atol=1e-5)
    assert torch.allclose(moderation[7, 1], image[7, 4], atol=1e-5)
    assert moderation[:, 2].tolist() == [0.0] * 8
    assert not any(p.requires_grad for p in head.experts.parameters())


def test_an_empty_event_is_answered_with_nothing():
    sentiment, moderation, *_ = made()(*slots(), torch.zeros(8, 3))
    assert not sentiment.any()
    assert not moderation.any()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_an_absent_slot_holds_changes_nothing(fusion):
    head, tokens = made(fusion, severity=True), slots()
    absent = (EVERY == 0).T[:, :, None, None]
    junk = [torch.where(gone, torch.nan, own) for gone, own in zip(absent, tokens, strict=True)]
    zero = [torch.where(gone, 0.0, own) for gone, own in zip(absent, tokens, strict=True)]
    for one, other in zip(head(*junk, EVERY), head(*zero, EVERY), strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_row_does_not_depend_on_its_batch(fusion):
    head, tokens = made(fusion, severity=True), slots()
    together = head(*tokens, EVERY)
    single = head(*(own[5:6] for own in tokens), EVERY[5:6])
    for a, b in zip(together, single, strict=True):
        assert torch.allclose(a[5:6], b, atol=1e-5)


def test_the_grade_of_an_event_is_that_of_the_modality_that_shows_the_label():
    head, tokens = made(severity=True, crossing=False), slots()
    for m, (expert, grade) in enumerate(zip(head.experts, head.grades, strict=True)):
        nn.init.zeros_(expert.weight)
        nn.init.constant_(expert.bias, 9.0 if m == 1 else -9.0)
        nn.init.zeros_(grade.weight)
        nn.init.constant_(grade.bias, float(m))
    severity = head(*tokens, EVERY)[4]
    assert torch.allclose(severity[7], torch.ones(3), atol=1e-3)
    assert torch.allclose(severity[4], torch.full((3,), 2.0), atol=1e-3)


def test_a_grade_that_nobody_gave_costs_nothing_and_a_right_one_little():
    logits = torch.tensor([[4.0, -4.0, 0.0]])
    right, wrong = torch.tensor([[7, 0, UNKNOWN]]), torch.tensor([[0, 7, UNKNOWN]])
    assert severity_loss(logits, right) < 0.05 < 3 < severity_loss(logits, wrong)
    assert severity_loss(logits, torch.full((1, 3), UNKNOWN)) == 0


@pytest.mark.parametrize("severity", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_exported_head_says_what_torch_says_on_every_backend(fusion, severity, tmp_path):
    openvino = pytest.importorskip("openvino")
    import onnx

    head, path = made(fusion, severity), tmp_path / "head.onnx"
    export("head", head, path)
    assert not {node.op_type for node in onnx.load(path).graph.node} & FORBIDDEN
    session = onnxruntime.InferenceSession(path)
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert tuple(output.name for output in session.get_outputs()) == head.outputs
    for rows in (1, 8):
        tokens = slots(rows)
        with torch.inference_mode():
            wanted = head(*tokens, EVERY[-rows:])
        inputs = dict(
            zip((*MODALITIES, "presence"), [x.numpy() for x in (*tokens, EVERY[-rows:])], strict=True)
        )
        for got in (session.run(None, inputs), list(compiled(inputs).values())):
            for name, one, want in zip(head.outputs, got, wanted, strict=True):
                assert np.abs(one - want.numpy()).max() <= 1e-4, name


@pytest.mark.parametrize("fusion", FUSIONS)
def test_without_labels_it_tells_sentiment_alone_and_learns_it(fusion):
    count, random = 64, np.random.default_rng(0)
    mood = random.integers(0, 3, count)
    rows = [[k, k, -1] for k in range(count)]  # text with image
    events = gather(rows, mood.tolist(), [[]] * count, [0] * count, [True] * count)
    config = ModelConfig((), width=32, fusion=fusion)
    tokens = tuple(torch.randn(count, 2, 32) for _ in range(3))
    said = [nn.Linear(64, 3) for _ in range(3)]
    meeting = Meeting(tokens, events, hard(mood, events.labels, mood >= 0), mood < 0)
    plan = Plan(30, rows=32, rate=3e-3)
    head = train_head(meeting, said, torch.ones(3, 1), config, plan, 1, lambda _text: None)
    answers = head(*tokens, torch.tensor([1.0, 1, 0]).expand(count, 3))
    named = dict(zip(head.outputs, answers, strict=True))
    assert {name: tuple(own.shape) for name, own in named.items()} == {
        "sentiment": (count, 3), "unimodal": (count, 3, 3), "embedding": (count, 32),
    }  # fmt: skip
    assert (named["sentiment"].argmax(dim=1).numpy() == mood).mean() > 0.8
