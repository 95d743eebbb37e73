"""The model card: what the bundle learnt from, what it measured, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_WARNING: Final = """\
**Trained only on generated data.** Every post comes from templates, every image is drawn by code and every
sound is synthesised; no real post, photograph or voice was seen. **It has no validity on real posts,
photographs or speech: do not moderate people with it.** It exists so that the whole way from training over
calibration to serving can be seen and tested; the figures below hold for data of the same generator, on real
data expect far less."""

_TITLES: Final = {
    "test": "Held out, in distribution (same templates, shapes and voices, other texts, images, sounds)",
    "ood": "Out of distribution (templates, image looks and voices that were never trained on)",
}

_FAILURES: Final = """\
- It knows words, not the world: irony, quotation, context and slang that no template holds escape it.
- Words never seen in training say nothing; a rare word may share its hash with a strong one.
- A post whose topic looks like a rule is taken for a breach, with great confidence: a police warning of scams
  ("never share your card number") scores as fraud, "I'd kill for a nap" and "打死我也不去" as violence.
- It is as sure of what it never saw as of what it knows: see the calibration error out of distribution.
- Images: flat drawings only. Photographs, real faces and screenshots of text are outside what it knows.
- Sounds: synthetic tones only. It hears contour and loudness, never words.
- `hate` knows two families of phrases over crowded or empty places and nothing else.
- Languages: English and Chinese; everything else is unknown words."""


def card(measured: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Markdown from the figures of `evaluate` and the facts of how the bundle was made."""
    out = ["# Starter bundle: model card", "", _WARNING, "", "## How it was made", ""]
    out += [f"- {name}: {value}" for name, value in facts.items()]
    out += ["", *tables(measured), "", "## Known failures", "", _FAILURES, "", "## Licence and data", ""]
    out += ["Apache-2.0. No personal data and no third-party data went into it."]
    return "\n".join(out) + "\n"


def tables(measured: Mapping[str, Any]) -> list[str]:
    """Markdown lines: one section for each split that was measured."""
    out: list[str] = []
    for split, title in _TITLES.items():
        if split in measured:
            out += [f"## {title}", "", *_tables(measured[split]), ""]
    return out[:-1]


def _tables(part: Mapping[str, Any]) -> list[str]:
    sentiment, crossed = part["sentiment"], part["crossed"]
    out = [
        f"Sentiment ({sentiment['rows']} events): macro recall {sentiment['macro recall']:.3f}, "
        f"expected calibration error {sentiment['ECE']:.3f}.",
        "",
        "| label | events | positive | AUROC | average precision | calibration error |",
        "|---|---|---|---|---|---|",
    ]
    out += [
        f"| `{name}` | {x['rows']} | {x['positive']} | {x['AUROC']:.3f} | {x['AP']:.3f} | {x['ECE']:.3f} |"
        for name, x in part["labels"].items()
    ]
    out += [
        "",
        "| what the event holds | events | sentiment macro recall | mean AUROC | mean calibration error |",
        "|---|---|---|---|---|",
    ]
    out += [
        f"| {name} | {x['rows']} | {x['sentiment']:.3f} | {x['mean AUROC']:.3f} | {x['mean ECE']:.3f} |"
        for name, x in part["patterns"].items()
    ]
    told = ", ".join(f"{name} {value:.3f}" for name, value in crossed.items())
    return [*out, "", f"`hate` on the balanced set that needs text and image together, AUROC: {told}."]
