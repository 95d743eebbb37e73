"""What the demo says at its end."""

from __future__ import annotations

from service.cli.demo_tally import Tally
from service.cli.demo_view import LiveView, closing


def tally(**counts):
    made = Tally()
    for name, number in counts.items():
        setattr(made, name, number)
    return made


def test_the_end_counts_in_words_that_fit():
    assert closing(tally(sent=1, dead_lettered=1)) == "1 event: 0 scored, 1 dead letter, 0 dropped."
    assert closing(tally(sent=9, scored=7)) == "9 events: 7 scored, 0 dead letters, 0 dropped, 2 under way."


def test_where_nothing_was_scored_nothing_is_summed_up(capsys):
    LiveView().end(tally(sent=1))
    assert capsys.readouterr().out == ""
    LiveView().end(tally(sent=1, scored=1))
    assert "1 event: 1 scored" in capsys.readouterr().out
