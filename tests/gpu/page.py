"""The table that results become: every check with its figure, what it is of, and what was not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.gpu.results import Host, Part, Results

NOTES = (
    "Peers on torch get inputs that lie on the device already, and their outputs stay there: they pay for no "
    "copy. ONNX Runtime and ours take arrays from the host's memory and give arrays back, copies included.",
    "Ours is measured with several micro-batches under way at once, as it serves, so that the copies of one "
    "overlap the computing of another; every peer runs one after the other.",
    "At fp8, products alone compute with 8 bits: normalisation, softmax and residual sums keep 16 or 32. Its "
    "roofline prices activations at 16 bits and has no bar; the bar is for 16-bit precisions.",
)
"""What a reader has to know of the figures."""


def table(parts: Sequence[Part], names: Sequence[str], title: str, rehearsal: bool,
          tried: Sequence[str] = ()) -> str:  # fmt: skip
    """The Markdown page; `tried` says what other results of the device there are."""
    lines = [f"# {title}", ""]
    if rehearsal:
        lines += ["**A rehearsal on a processor with tiny shapes: no figure here is a measurement.**", ""]
    marks = _marks(parts)
    lines += [tally(parts, names), "", *_hosts(marks)]
    lines += ["| part | check | figure | bar | verdict | of what, or why |", "|---|---|---|---|---|---|"]
    for part in parts:
        for one in part.checks:
            name = f"{part.name} {marks[part.host]}".strip()
            cells = (name, one.check, one.figure, one.bar, one.verdict, one.reason)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    for name in _missing(parts, names):
        lines.append(f"| {name} | | | | not measured | this part has not run yet |")
    ran = ", ".join(f"{p.name} ({p.when}, {p.seconds:.0f} s)" for p in parts)
    lines += ["", f"Parts: {ran or 'none'}.", "", *(f"- {note}" for note in (*NOTES, *tried)), ""]
    return "\n".join(lines)


def tally(parts: Sequence[Part], names: Sequence[str]) -> str:
    """How many checks passed, failed and were not measured, and how many parts have not run."""
    counts = Counter(one.verdict for part in parts for one in part.checks)
    missing = len(_missing(parts, names))
    return (
        f"{counts['pass']} pass, {counts['fail']} fail, {counts['not measured']} not measured; "
        f"{missing} of {len(names)} parts not run yet."
    )


def failed(parts: Sequence[Part]) -> bool:
    """Whether any check did."""
    return any(one.verdict == "fail" for part in parts for one in part.checks)


def days(parts: Sequence[Part], today: str) -> str:
    """When the parts ran: a day, or the first and the last."""
    found = sorted({part.when[:10] for part in parts if part.when}) or [today]
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def others(folder: Path, host: Host, names: Sequence[str]) -> list[str]:
    """What other folders hold of this device: measured with another TensorRT, or earlier."""
    plain = Host(host.device).slug
    found = []
    for other in sorted(folder.parent.glob(f"????-??-??-{plain}*")):
        parts = Results(other).read(names)
        if other != folder and parts and parts[0].host.device == host.device:
            of = parts[0].host.tensorrt or "unknown"
            found.append(f"Also tried on this device: TensorRT {of} ({other.name}): {tally(parts, names)}")
    return found


def _marks(parts: Sequence[Part]) -> dict[Host, str]:
    """How the rows of each host are marked: not, where they are of the one that measured most parts."""
    hosts = [host for host, _ in Counter(part.host for part in parts).most_common()]
    return {host: f"[{k + 1}]" if k else "" for k, host in enumerate(hosts)}


def _hosts(marks: dict[Host, str]) -> list[str]:
    known = {host: mark for host, mark in marks.items() if str(host)}
    if not known:
        return []
    lines = [
        f"Measured {'where it is marked ' + mark + ' ' if mark else ''}with: {host}."
        for host, mark in known.items()
    ]
    return [line for each in lines for line in (each, "")]


def _missing(parts: Sequence[Part], names: Sequence[str]) -> list[str]:
    ran = {part.name for part in parts}
    return [name for name in names if name not in ran]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
