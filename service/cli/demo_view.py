"""What `demo` shows: a live table for a person, JSON lines for a machine."""

from __future__ import annotations

import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from service.cli import look
from service.cli.console import count, emit, out, say
from service.cli.demo_tally import Outcome, Tally

FRAME: Final = 11
"""Lines of a screen that the table's rows do not get."""


class JsonView:
    """One score or dead letter a line on standard output; all else on standard error."""

    def step(self, text: str) -> AbstractContextManager[object]:
        """Say what is under way."""
        say(f"{text} …")
        return nullcontext()

    def done(self, text: str) -> None:
        """Say what is there now."""
        say(text)

    def begin(self, tally: Tally, facts: dict[str, str]) -> AbstractContextManager[object]:
        """Nothing to set up."""
        say(" · ".join(f"{name} {value}" for name, value in facts.items()))
        return nullcontext()

    def show(self, outcome: Outcome) -> None:
        """One line."""
        emit(outcome.score if outcome.score is not None else outcome.letter)

    def refresh(self) -> None:
        """Nothing moves."""

    def end(self, tally: Tally) -> None:
        """The summary."""
        emit(tally.summary())


class LiveView:
    """The table: newest event last, as many rows as the terminal has room for."""

    def __init__(self) -> None:
        self._console = out()
        self._rows: deque[Outcome] = deque(maxlen=200)
        self._tally, self._facts, self._score = Tally(), dict[str, str](), dict[str, Any]()
        self._began = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def step(self, text: str) -> AbstractContextManager[object]:
        """A spinner."""
        return self._console.status(text)

    def done(self, text: str) -> None:
        """A tick."""
        self._console.print(Text.assemble(("✓ ", "green"), text))

    def begin(self, tally: Tally, facts: dict[str, str]) -> AbstractContextManager[object]:
        """Start the table."""
        self._tally, self._facts, self._began = tally, facts, time.monotonic()
        return self._live

    def show(self, outcome: Outcome) -> None:
        """Add a row."""
        self._rows.append(outcome)
        if outcome.score is not None:
            self._score = outcome.score

    def refresh(self) -> None:
        """Draw."""
        self._live.update(self.render(self._console.height), refresh=True)

    def end(self, tally: Tally) -> None:
        """What there was, below the last table."""
        if tally.accounted:
            self._console.print(closing(tally))

    def render(self, height: int) -> RenderableType:
        """The whole picture."""
        table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, header_style="bright_black")
        table.add_column("event", ratio=5, no_wrap=True, overflow="ellipsis")
        table.add_column("in", width=5, no_wrap=True)
        table.add_column("sentiment", width=17, no_wrap=True)
        table.add_column("strongest labels", ratio=5, no_wrap=True, overflow="ellipsis")
        table.add_column("decision", width=8, no_wrap=True)
        table.add_column("ms", width=5, justify="right", no_wrap=True)
        room = max(3, height - FRAME - bool(self._score and self._score["model"]["synthetic"]))
        for outcome in list(self._rows)[-room:]:
            table.add_row(*_cells(outcome))
        return Group(Panel(self._header(), box=box.ROUNDED, border_style="cyan"), table, self._totals())

    def _header(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("Tidegate", "bold cyan")
        for name, value in self._facts.items():
            text.append(f"\n{name} " if name == "topics" else f"  {name} ", "bright_black")
            text.append(value)
        if self._score:
            self._append_model(text, self._score["model"], self._score["decision"])
        return text

    def _append_model(self, text: Text, model: dict[str, Any], decision: dict[str, Any]) -> None:
        mode = " (shadow: says, but does not act)" if decision["mode"] == "shadow" else ""
        parts = {
            "model": f"{model['bundle']} {model['version']}",
            "engine": f"{model['engine']} {model['precision']}",
            "policy": decision["policy"] + mode,
        }
        for name, value in parts.items():
            text.append(f"\n{name} " if name == "model" else f"  {name} ", "bright_black")
            text.append(value)
        if model["synthetic"]:
            text.append("\n! ", "bold yellow")
            learnt = ", ".join(model["synthetic"])
            text.append(f"It learnt {learnt} from generated data only: a show, not a judge.", "yellow")

    def _totals(self) -> Text:
        tally, seconds = self._tally, max(time.monotonic() - self._began, 1e-3)
        parts = [
            (f" {count(tally.sent, 'event')}", "bold"),
            (f"{tally.scored} scored", "green"),
            (count(tally.dead_lettered, "dead letter"), "magenta"),
            (f"{tally.accounted / seconds:.1f}/s", ""),
            ("T I A: text, image, audio", "bright_black"),
            ("Ctrl-C stops everything", "bright_black"),
        ]
        if tally.dropped:
            parts.insert(3, (f"{tally.dropped} dropped", "yellow"))
        line = Text("  ·  ").join(Text(*part) for part in parts)
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


View = JsonView | LiveView


def closing(tally: Tally) -> str:
    """What there was, in one sentence; what was sent and cut short is under way."""
    ends = [f"{tally.scored} scored", count(tally.dead_lettered, "dead letter"), f"{tally.dropped} dropped"]
    if under_way := tally.sent - tally.accounted:
        ends.append(f"{under_way} under way")
    return f"{count(tally.sent, 'event')}: {', '.join(ends)}."


def choose(as_json: bool) -> View:
    """The table where somebody can watch it."""
    return JsonView() if as_json or not out().is_terminal else LiveView()


def _cells(outcome: Outcome) -> tuple[RenderableType, ...]:
    ms = Text(str(outcome.milliseconds), "bright_black")
    if outcome.score is None:
        why = look.failure(outcome.letter["class"], outcome.letter["reason"])
        return Text(outcome.about, "magenta"), Text(""), Text("dead letter", "magenta"), why, Text("–"), ms
    score = outcome.score
    cells = (look.modalities(score), look.sentiment(score), look.labels(score), look.decision(score))
    return Text(outcome.about), *cells, ms
