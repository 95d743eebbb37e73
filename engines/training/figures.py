"""The measured part of the card: a section for each split, its tables and its charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engines.batch import SENTIMENTS
from engines.training import charts
from engines.training.document import Block, Bullets, Charts, Heading, Paragraph, Table
from engines.training.report import LabelReport, Report, Slice, SplitReport

TITLES: Final = {
    "train": "Seen in training",
    "calibrate": "Seen in calibration",
    "test": "Held out, in distribution",
    "ood": "Out of distribution: sources, templates and voices that were never trained on",
}
_LABELS: Final = (
    "label", "events", "positive", "AUROC (95 %)", "average precision", "calibration error", "Brier",
)  # fmt: skip
_SLICES: Final = (
    "", "events", "sentiment macro recall (95 %)", "sentiment calibration error",
    "breaks any rule, AUROC (95 %)", "mean label AUROC", "worst calibration error (150 rows or more)",
)  # fmt: skip
ANY: Final = "breaks any rule"


def blocks(report: Report) -> list[Block]:
    """Every split that was measured, and whether answers depend on their batch."""
    out: list[Block] = []
    for split, part in report.splits.items():
        out += [Heading(TITLES.get(split, split)), *_split(part)]
    found = report.invariance
    verdict = "holds" if found.holds else "**does not hold**"
    out += [
        Heading("The same answer in any company"),
        Paragraph(
            f"{found.events} events of every mix of modalities, scored alone, all at once, and shuffled in "
            f"small batches: probabilities differ by at most {found.largest:.2g} (allowed {found.limit:g}), "
            f"{found.flipped} of {found.decisions} decisions flip: {verdict}."
        ),
    ]
    return out


def _split(part: SplitReport) -> list[Block]:
    whole = part.whole
    out: list[Block] = [*_sentiment(whole), *_labels(whole)]
    for name, slices in (
        ("By language", part.languages),
        ("By what the event holds", part.patterns),
        ("By source", part.sources),
    ):
        if slices:
            out += [Heading(name, 3), _table(slices)]
    if part.crossed:
        out.append(Heading("Labels that need several modalities", 3))
        out.append(Paragraph("On sets where no modality tells the label by itself, AUROC by what was shown:"))
        out.append(
            Bullets(
                [
                    f"`{x.label}`, {x.rows} events: together {x.together}"
                    + "".join(f", {name} alone {each}" for name, each in x.alone.items())
                    for x in part.crossed
                ]
            )
        )
    return out


def _sentiment(whole: Slice) -> list[Block]:
    felt = whole.sentiment
    if not felt.rows:
        return [Paragraph("No event has a sentiment.")]
    recalls = ", ".join(f"{n} {number(r)}" for n, r in zip(SENTIMENTS, felt.recalls, strict=True))
    said = (
        f"**Sentiment**, {felt.rows:,} events: macro recall {felt.macro_recall} ({recalls}), "
        f"calibration error {number(felt.ece)}, Brier {number(felt.brier)}"
    )
    if felt.graded:
        said += f", mean absolute error of polarity {number(felt.polarity_error)} on {felt.graded:,} events"
    pictures = [charts.confusion(felt.confusion, SENTIMENTS, "sentiment: truth → answer")]
    if felt.bins:
        pictures.append(charts.reliability(felt.bins, "sentiment, likeliest class"))
    return [Paragraph(said + "."), Charts(pictures)]


def _labels(whole: Slice) -> list[Block]:
    known = {f"`{name}`": each for name, each in whole.labels.items() if each.rows}
    if not known:
        told = "No event has a moderation label." if whole.labels else "The bundle has no moderation label."
        return [Paragraph(told)]
    if whole.any_rule.both:
        known[ANY] = whole.any_rule
    rows = [
        (
            name, f"{x.rows:,}", f"{x.positives:,}", str(x.auroc), number(x.auprc), number(x.ece),
            number(x.brier),
        )
        for name, x in known.items()
    ]  # fmt: skip
    out: list[Block] = [Table(_LABELS, rows), *_one_class(whole.any_rule), *_thresholds(whole)]
    graded = [f"`{n}` {x.severity_error:.2f}" for n, x in whole.labels.items() if x.severity_error >= 0]
    if graded:
        out.append(Paragraph(f"Severity, mean absolute error in grades of 0…7: {', '.join(graded)}."))
    pictures = [picture for name, x in known.items() for picture in _charts(name.strip("`"), x)]
    return [*out, Charts(pictures)]


def _one_class(found: LabelReport) -> list[Block]:
    """Why nothing stands there of events that break any rule."""
    if found.both:
        return []
    why = "annotated for every label" if not found.rows else "0 for every label"
    if found.rows and not found.positives:
        why = "1 for any label"
    return [Paragraph(f"“Breaks any rule” is left out: no event is {why}.")]


def _thresholds(whole: Slice) -> list[Block]:
    known = {f"`{name}`": each for name, each in whole.labels.items() if each.rows}
    rows = [
        (name, action, f"{at.threshold:.3f}", f"{at.taken:,}", str(at.precision), str(at.recall))
        for name, x in known.items()
        for action, at in (("review", x.review), ("block", x.block))
        if at is not None and x.positives
    ]
    head = ("label", "action", "calibrated threshold", "events taken", "precision (95 %)", "recall (95 %)")
    out: list[Block] = [Heading("At the calibrated thresholds", 3), Table(head, rows)] if rows else []
    without = [name for name, x in known.items() if x.review is None and x.block is None]
    idle = [name for name, x in known.items() if name not in without and not x.positives]
    if without:
        out.append(Paragraph(f"The bundle has no thresholds for {', '.join(without)}."))
    if idle:
        out.append(Paragraph(f"No event is positive to show what the thresholds find: {', '.join(idle)}."))
    return out


def _charts(name: str, found: LabelReport) -> list[str]:
    out = []
    if found.curve and found.positives < found.rows:
        spots: dict[tuple[float, float], list[str]] = {}  # both thresholds may be one
        for action, at in (("review", found.review), ("block", found.block)):
            if at is not None and at.taken:
                spots.setdefault((at.recall.value, at.precision.value), []).append(action)
        marks = [(", ".join(names), *spot) for spot, names in spots.items()]
        base = found.positives / found.rows
        out.append(charts.precision_recall(found.curve, name, base, marks))
    if found.bins:
        out.append(charts.reliability(found.bins, name))
    return out


def _table(slices: Mapping[str, Slice]) -> Table:
    rows = [
        (
            name,
            f"{x.events:,}",
            str(x.sentiment.macro_recall),
            number(x.sentiment.ece),
            str(x.any_rule.auroc),
            number(x.mean_auroc),
            number(x.worst_ece),
        )
        for name, x in slices.items()
    ]
    return filled(Table(_SLICES, rows))


def filled(table: Table) -> Table:
    """The table without the columns that say nothing in any row."""
    kept = [k for k in range(len(table.head)) if any(row[k] not in ("", "–") for row in table.rows)]
    return Table([table.head[k] for k in kept], [[row[k] for k in kept] for row in table.rows])


def number(value: float) -> str:
    """Three digits; a dash for NaN."""
    return "–" if value != value else f"{value:.3f}"  # NaN is not itself
