"""`tidegate bundle inspect`: what a bundle is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import bundle_argument
from service.cli.console import emit, json_option, table, teach
from service.errors import Exit

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.labels import Evidence

SCHEMA = "tidegate.bundle-report/1"


@click.command(
    help=teach(
        "Show what a bundle is: labels with evidence and thresholds, precisions and how they were calibrated,"
        " what is synthetic, what it was made of, files. Every digest is checked.",
        ("tidegate bundle inspect starter", "the bundle that ships"),
        ("tidegate bundle inspect mine --json", "for machines"),
    )
)
@bundle_argument
@json_option
def inspect(source: str, as_json: bool) -> int:
    """Verify a bundle and print its contents."""
    from engines.bundle import Bundle

    found = Bundle.load(source)
    if as_json:
        emit(report(found))
        return Exit.OK
    size = sum(entry["bytes"] for entry in found.manifest["files"].values())
    click.echo(f"{found.name} {found.version}  {found.digest}")
    click.echo(
        f"{size / 1e6:.1f} MB, width {found.width}, tokens {found.tokens}, {found.manifest['licence']}"
    )
    if found.synthetic:
        click.echo(
            f"SYNTHETIC: {', '.join(found.synthetic)} trained on generated data only; not valid on real posts"
        )
    if not found.calibrated:
        click.echo("NOT CALIBRATED: its probabilities mean nothing yet; see `tidegate bundle calibrate`")
    for precision, fit in found.calibration.items():
        if fit.calibrated and fit.uncalibrated:
            click.echo(f"NOT CALIBRATED at {precision}: {', '.join(fit.uncalibrated)}; the others are")
    table(
        ("precision", "calibrated", "last fit's engine", "its events", "others differ by"), _precisions(found)
    )
    table(("label", "needs", "review at", "block at", "what"), _labels(found))
    table(("made", ""), _plain(found.manifest["provenance"]))
    table(
        ("file", "bytes", "SHA-256"),
        [(n, f["bytes"], f["sha256"][:16]) for n, f in found.manifest["files"].items()],
    )
    return Exit.OK


def report(found: Bundle) -> dict[str, Any]:
    """All that the tables show, and the manifest as it is."""
    labels = [
        {
            "name": x.name,
            "evidence": [sorted(s) for s in x.evidence],
            "severity": x.severity,
            "description": x.description,
            "thresholds": {p: fit.thresholds[x.name].to_dict() for p, fit in found.calibration.items()
                           if x.name in fit.thresholds},
        }
        for x in found.labels.labels
    ]  # fmt: skip
    return {
        "schema": SCHEMA,
        "manifest": dict(found.manifest),
        "calibrated": found.calibrated,
        "precisions": {p: fit.calibrated for p, fit in found.calibration.items()},
        "uncalibrated": {p: list(fit.uncalibrated) for p, fit in found.calibration.items()},
        "sentiment": {"evidence": [sorted(s) for s in found.labels.sentiment_evidence]},
        "labels": labels,
    }


def _precisions(found: Bundle) -> Iterator[tuple[object, ...]]:
    graphs = {p for files in found.manifest["graphs"].values() for p in files}
    for name in sorted({*found.calibration, *graphs}):
        fit = found.calibration.get(name)
        fitted = fit.fitted if fit else None
        known = "no" if fit is None or not fit.calibrated else "in part" if fit.uncalibrated else "yes"
        if fit is None or fitted is None:
            yield name, known, "", "", ""
        else:
            others = ", ".join(f"{other} {gap:.3f}" for other, gap in fitted.agrees.items())
            yield name, known, fitted.engine, fitted.rows, others


def _labels(found: Bundle) -> Iterator[tuple[object, ...]]:
    fit = found.calibration.get("fp32") or next(iter(found.calibration.values()))
    yield "sentiment", _needs(found.labels.sentiment_evidence), "", "", ""
    for label in found.labels.labels:
        own = fit.thresholds.get(label.name)
        at = [f"{x:.3f}" if x is not None else "" for x in ((own.review, own.block) if own else (None, None))]
        yield label.name, _needs(label.evidence), *at, label.description


def _needs(evidence: Evidence) -> str:
    return " or ".join("+".join(sorted(s)) for s in evidence) or "never evaluated"


def _plain(tree: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A tree's leaves by their paths."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _plain(value, f"{name}.{key}" if name else key)
    elif isinstance(tree, list) and any(isinstance(value, dict) for value in tree):
        for number, value in enumerate(tree, 1):
            yield from _plain(value, f"{name}.{number}")
    elif isinstance(tree, list):
        yield name, ", ".join(map(str, tree)) or "none"
    else:
        yield name, str(tree)
