"""The model card: what the bundle learnt from, what it measured, and what it is not for.

After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from engines.batch import MODALITIES
from engines.errors import EngineError
from engines.training import figures
from engines.training.document import Block, Bullets, Heading, Paragraph, Table, markdown, page
from engines.training.report import Report

NAMES: Final = ("MODEL_CARD.md", "MODEL_CARD.html")
LARGEST: Final = 400_000
"""Bytes that the page may have: it travels in every bundle."""
LIBRARIES: Final = ("torch", "transformers", "onnx", "onnxruntime", "openvino", "numpy", "librosa")

USE: Final = (
    "To put posts in an order for human reviewers, and to act alone only where a label's calibrated `block` "
    "threshold was measured on posts like yours. Never as the only judge of a person."
)
SUMS: Final = (
    "To follow the mood of many posts: counts, shares and trends, on posts like those measured below. Never "
    "as the only judge of one post or person. It judges no rule: it has no moderation labels."
)
"""The intended use of a bundle that tells sentiment alone."""
_WORDS: Final = (
    "It knows words and patterns, not the world: irony, quotation, context and slang that it never saw "
    "escape it."
)
_ABOUT_RULES: Final = (
    "A post about a breach of a rule is easily taken for one: a warning of scams may score as fraud."
)
_STRANGE: Final = (
    "It is as sure of what it never saw as of what it knows: see the calibration error out of distribution.",
    "Languages other than those measured below are unknown to it.",
)
FAILURES: Final = (_WORDS, _ABOUT_RULES, *_STRANGE)


@dataclass(frozen=True, slots=True)
class SourceFact:
    """One source of training data: what, under which licence, which very files, how much and what for."""

    name: str
    licence: str
    sha256: str
    origin: str = ""
    rows: int = 0
    use: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What no measurement tells: where the bundle comes from and what it is for.

    ``facts`` are shown as they are (seed, generator version, what the rows were); ``synthetic`` says in a
    sentence what of each modality was generated, for those that were; ``tables`` are figures that were
    measured elsewhere, each with its title and a sentence. Without ``failures`` or ``use`` the card has the
    usual ones of what the bundle judges.
    """

    sources: Sequence[SourceFact] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    synthetic: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[str] = ()
    use: str = ""
    licence: str = "Apache-2.0"
    tables: Sequence[tuple[str, str, Table]] = ()


def write_card(folder: Path, report: Report, about: About) -> None:
    """Write MODEL_CARD.md and MODEL_CARD.html; raises EngineError where the page grows too large."""
    blocks = card(report, about)
    html = page(blocks, f"{report.bundle} {report.version}: model card")
    if (size := len(html.encode())) > LARGEST:
        raise EngineError(
            "The model card is too large", where=str(folder / NAMES[1]),
            why=f"{size} bytes, at most {LARGEST}", remedy="Measure fewer labels or sources at a time",
        )  # fmt: skip
    (folder / NAMES[0]).write_text(markdown(blocks), encoding="utf-8")
    (folder / NAMES[1]).write_text(html, encoding="utf-8")


def card(report: Report, about: About) -> list[Block]:
    """The whole card."""
    out: list[Block] = [Heading(f"{report.bundle} {report.version}: model card", 1)]
    out += _warnings(report, about)
    usual = (USE, FAILURES) if report.moderates else (SUMS, (_WORDS, *_STRANGE))
    out += [Heading("Intended use"), Paragraph(about.use or usual[0])]
    out += [Heading("Known failures"), Bullets(list(about.failures or usual[1]))]
    out += _made(report, about)
    out += figures.blocks(report)
    for title, said, table in about.tables:
        out += [Heading(title), Paragraph(said), table]
    out += [Heading("How to read the figures"), Bullets(_reading(report))]
    return [*out, Heading("Licence"), Paragraph(about.licence)]


def _reading(report: Report) -> list[str]:
    """What the figures mean, of those that stand there."""
    ranked = ", Newcombe's for AUROC" if report.moderates else ""
    out = [
        f"Intervals are at 95 %: Wilson's for shares{ranked}. They cover chance among rows like these, not "
        "the difference between these rows and yours.",
        "Calibration error: 15 bins of equal mass, on rows that neither training nor calibration saw.",
    ]
    if any(part.whole.any_rule.both for part in report.splits.values()):
        out.append(
            "Breaks any rule: events with any label against those where all are 0, by the likeliest one."
        )
    if report.moderates:
        out.append(
            "A precision holds for the share of positives among these events, and falls where they are rarer."
        )
    return out


def tables(report: Report) -> list[str]:
    """The figures alone, as Markdown lines, for a terminal."""
    return markdown(figures.blocks(report)).splitlines()


def _warnings(report: Report, about: About) -> list[Block]:
    out: list[Block] = []
    if set(report.synthetic) == set(MODALITIES):
        out.append(
            Paragraph(
                "**Trained only on generated data.** No real post, photograph or voice was seen. **It has no "
                "validity on real posts, photographs or speech: do not moderate people with it.** It shows "
                "the whole way from training over calibration to serving; the figures below hold for data of "
                "the same generator, on real data expect far less.",
                warning=True,
            )
        )
    elif report.synthetic:
        names = ", ".join(report.synthetic)
        text = f"**Synthetic: {names}.** What it says about {names} was learnt from generated data only, and "
        out.append(Paragraph(f"{text}has no validity on real ones.", warning=True))
    out += [Paragraph(f"**{name}:** {text}") for name, text in about.synthetic.items()]
    if report.uncalibrated:
        names = ", ".join(f"`{name}`" for name in report.uncalibrated)
        text = f"**Not calibrated: {names}.** Too few labelled events were there to fit them on: such "
        out.append(Paragraph(f"{text}probabilities are logits in another form.", warning=True))
    elif not report.calibrated:
        text = f"**Not calibrated for {report.precision}.** Its probabilities are logits in another form."
        out.append(Paragraph(text, warning=True))
    return out


def _made(report: Report, about: About) -> list[Block]:
    facts = {
        **about.facts,
        "measured on": f"{report.backend}, precision {report.precision}",
        "SHA-256 of the labelled events": f"`{report.dataset}`",
        "SHA-256 of the bundle that was measured": f"`{report.digest}`",
        "libraries": _libraries(),
    }
    out: list[Block] = [
        Heading("How it was made"),
        Table(("what", ""), [(name, str(value)) for name, value in facts.items()]),
    ]
    if about.sources:
        out.append(Heading("Data it learnt from", 3))
        rows = [
            (
                x.name,
                f"{x.rows:,}" if x.rows else "",
                x.use,
                x.licence,
                x.origin,
                x.sha256 and f"`{x.sha256}`",
            )
            for x in about.sources
        ]
        head = ("source", "rows", "used for", "licence", "origin", "SHA-256")
        out.append(figures.filled(Table(head, rows)))
    if report.notes:
        out += [Heading("Notes", 3), Bullets(list(report.notes))]
    return out


def _libraries() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
