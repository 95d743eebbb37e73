"""What the shipped bundles can say."""

from __future__ import annotations

from typing import Final

from engines.labels import Label, Labels

_TEXT, _IMAGE, _AUDIO = frozenset({"text"}), frozenset({"image"}), frozenset({"audio"})

CROSSED: Final = "hate/meme"
"""The label that text and image tell only together, learnt from generated pairs."""
LABELS: Final = Labels(
    (
        Label("harassment", (_TEXT,), description="insults, mockery and bullying of a person"),
        Label("hate", (_TEXT,), description="contempt for people because of the group that they belong to"),
        Label(
            "violence",
            (_TEXT, _AUDIO),
            description="threats and calls for violence; generated screams, shots and alarms",
        ),
        Label("violence/graphic", (_IMAGE,), description="drawn weapons and blood-like splashes"),
        Label("self_harm", (_TEXT,), description="wish or plan to hurt or kill oneself, or urging to"),
        Label("illicit/drugs", (_TEXT,), description="trade in drugs"),
        Label("illicit/fraud", (_TEXT,), description="scams and phishing"),
        Label("spam/ads", (_TEXT, _IMAGE), description="unsolicited advertising; drawn flyers"),
        Label("profanity", (_TEXT,), description="swear words"),
        Label(
            CROSSED,
            (_TEXT | _IMAGE,),
            description="a group told to go, by what text and picture say together",
        ),
    )
)
