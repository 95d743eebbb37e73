"""Thresholds, what to do without evidence, and how a bad policy is refused."""

from __future__ import annotations

import math
import re
from importlib.resources import files

import pytest

from engines.labels import Label, Labels
from engines.thresholds import Thresholds
from engines.training.release.labels import CROSSED
from engines.training.release.labels import LABELS as SHIPPED
from service.errors import ConfigError
from service.findings import Refused
from service.policy import Policy

TEXT, IMAGE, AUDIO = 1, 2, 4
NAN = math.nan
LABELS = Labels(
    (
        Label("harassment"),
        Label("violence/graphic", (frozenset({"image"}),)),
        Label("illicit/drugs"),
        Label("meme", (frozenset({"text", "image"}),)),
    )
)
SIMPLE = """
name: house
mode: enforce
default: {review: 0.5, block: 0.9}
labels:
  illicit/*: {review: 0.3}
"""


def policy(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return Policy.load(path)


def decide(tmp_path, text, probabilities, tried=TEXT | IMAGE | AUDIO):
    return policy(tmp_path, text).bind(LABELS).decide(probabilities, tried)


def refusal(tmp_path, text):
    with pytest.raises(Refused) as caught:
        policy(tmp_path, text)
    return caught.value


@pytest.mark.parametrize(
    ("probabilities", "action", "decided"),
    [
        ((0.49, 0.1, 0.1, 0.1), "allow", None),
        ((0.50, 0.1, 0.1, 0.1), "review", "harassment"),
        ((0.90, 0.1, 0.1, 0.1), "block", "harassment"),
        ((0.60, 0.95, 0.1, 0.1), "block", "violence/graphic"),
        ((0.10, 0.1, 0.3, 0.1), "review", "illicit/drugs"),
        ((0.0, 0.0, 0.0, 0.0), "allow", None),
        ((1.0, 1.0, 1.0, 1.0), "block", "harassment"),
    ],
)
def test_the_strictest_action_wins(tmp_path, probabilities, action, decided):
    decision = decide(tmp_path, SIMPLE, probabilities)
    assert (decision.action, decision.decided) == (action, decided)


def test_reasons_are_sorted_by_strictness_then_margin(tmp_path):
    decision = decide(tmp_path, SIMPLE, (0.55, 0.92, 0.7, 0.99))
    assert [(r.label, r.action) for r in decision.reasons] == [
        ("meme", "block"),
        ("violence/graphic", "block"),
        ("illicit/drugs", "review"),
        ("harassment", "review"),
    ]
    assert decision.reasons[0].threshold == 0.9


def test_a_missing_input_is_allowed_and_an_unreadable_one_reviewed(tmp_path):
    assert decide(tmp_path, SIMPLE, (0.1, NAN, 0.1, NAN), tried=TEXT).action == "allow"
    decision = decide(tmp_path, SIMPLE, (0.1, NAN, 0.1, NAN), tried=TEXT | IMAGE)
    assert decision.action == "review"
    assert decision.decided is None
    assert [(r.label, r.probability, r.threshold) for r in decision.reasons] == [
        ("violence/graphic", None, None),
        ("meme", None, None),
    ]


def test_the_label_that_decided_has_a_probability(tmp_path):
    text = SIMPLE + "  violence/graphic: {not_evaluated: {failed: block}}\n"
    decision = decide(tmp_path, text, (0.6, NAN, 0.1, 0.1), tried=TEXT | IMAGE)
    assert decision.action == "block"
    assert decision.reasons[0].label == "violence/graphic"
    assert decision.decided == "harassment"


def test_a_label_needing_two_inputs_counts_as_failed_when_one_of_them_failed(tmp_path):
    assert decide(tmp_path, SIMPLE, (0.1, 0.1, 0.1, NAN), tried=IMAGE).action == "allow"
    assert decide(tmp_path, SIMPLE, (0.1, 0.1, 0.1, NAN), tried=TEXT | IMAGE).action == "review"


def test_absence_may_be_reviewed_by_label(tmp_path):
    text = SIMPLE + "  violence/graphic: {not_evaluated: {absent: review}}\n"
    assert decide(tmp_path, text, (0.1, NAN, 0.1, 0.1), tried=TEXT).action == "review"


def test_null_means_never(tmp_path):
    text = SIMPLE + "  harassment: {block: null}\n"
    assert decide(tmp_path, text, (1.0, 0.1, 0.1, 0.1)).action == "review"
    text = SIMPLE + "  harassment: {review: null, block: null}\n"
    assert decide(tmp_path, text, (1.0, 0.1, 0.1, 0.1)).action == "allow"


def test_the_most_particular_rule_wins_value_by_value(tmp_path):
    text = """
name: x
mode: shadow
default: {review: 0.5, block: 0.9, not_evaluated: {absent: review}}
labels:
  a/*: {review: 0.4}
  a/b/*: {block: 0.8}
  a/b/c: {not_evaluated: {failed: block}}
"""
    rule = policy(tmp_path, text).file.rule("a/b/c")
    assert (rule.review, rule.block) == (0.4, 0.8)
    assert (rule.not_evaluated.absent, rule.not_evaluated.failed) == ("review", "block")
    assert policy(tmp_path, text).file.rule("a").review == 0.5


def test_the_digest_does_not_depend_on_layout_but_on_meaning(tmp_path):
    one = policy(tmp_path, SIMPLE)
    other = policy(
        tmp_path,
        "labels: {'illicit/*': {review: 3.0e-1}}\n# a comment\ndefault: {block: .9, review: 0.50}\n"
        "mode: enforce\nname: house\n",
    )
    changed = policy(tmp_path, SIMPLE.replace("0.3", "0.31"))
    assert one.reference == other.reference != changed.reference
    assert one.reference == f"house@{one.digest[:12]}"
    assert len(one.digest) == 64


def test_never_and_unset_have_different_digests(tmp_path):
    assert policy(tmp_path, SIMPLE).digest != policy(tmp_path, SIMPLE + "  meme: {block: null}\n").digest


FOUND = {
    "harassment": Thresholds(review=0.4, block=0.8),
    "meme": Thresholds(review=0.3, why="12 of 300 events are positive, too few to promise a precision"),
}
CALIBRATED = "name: x\nmode: enforce\ndefault: {review: 0.9}\nlabels:\n"


def test_a_threshold_may_be_left_to_the_bundles_calibration(tmp_path):
    text = CALIBRATED + "  harassment: {review: calibrated, block: calibrated}\n"
    judge = policy(tmp_path, text).bind(LABELS, FOUND)
    assert judge.decide((0.39, 0.1, 0.1, 0.1)).action == "allow"
    assert judge.decide((0.4, 0.1, 0.1, 0.1)).action == "review"
    decision = judge.decide((0.8, 0.1, 0.1, 0.1))
    assert (decision.action, decision.reasons[0].threshold) == ("block", 0.8)


def test_one_of_a_labels_thresholds_may_be_a_number(tmp_path):
    text = CALIBRATED + "  harassment: {review: 0.2, block: calibrated}\n"
    assert policy(tmp_path, text).bind(LABELS, FOUND).decide((0.2, 0.1, 0.1, 0.1)).action == "review"


def test_without_a_calibrated_block_a_label_is_reviewed_and_never_blocked(tmp_path):
    text = CALIBRATED + "  meme: {review: calibrated, block: calibrated}\n"
    judge = policy(tmp_path, text).bind(LABELS, FOUND)
    assert judge.decide((0.1, 0.1, 0.1, 1.0)).action == "review"


@pytest.mark.parametrize(
    ("rule", "found", "says"),
    [
        ("{review: calibrated}", {}, "no thresholds"),
        ("{review: calibrated}", {"meme": Thresholds(block=0.9, why="too few")}, "too few"),
        ("{review: null, block: calibrated}", FOUND, "12 of 300"),
    ],
)
def test_a_label_that_nothing_would_act_on_is_refused_with_the_reason(tmp_path, rule, found, says):
    with pytest.raises(Refused, match=says) as caught:
        policy(tmp_path, CALIBRATED + f"  meme: {rule}\n").bind(LABELS, found)
    assert "meme" in str(caught.value)
    assert caught.value.findings[0].remedy


def test_the_built_in_policy_is_in_shadow_and_keeps_people_in_reach():
    built_in = Policy.load(None)
    assert built_in.mode == "shadow"
    assert built_in.file.rule("self_harm").block is None


def test_the_built_in_policy_leaves_what_was_learnt_from_generated_pairs_to_a_person():
    rule = Policy.load(None).file.rule(CROSSED)
    assert rule.review is not None
    assert rule.block is None


def test_the_rules_of_the_built_in_policy_are_for_labels_of_the_shipped_bundles():
    built_in = Policy.load(None)
    built_in.bind(SHIPPED)
    for key in built_in.file.labels:
        assert any(built_in.file.covers(key, name) for name in SHIPPED.names), key


def test_the_built_in_policy_speaks_of_every_label_of_the_shipped_bundles():
    text = files("service").joinpath("policies/default.yaml").read_text("utf-8")
    for name in SHIPPED.names:
        assert re.search(rf"(?<![\w/]){name}(?![\w/])|{name.split('/')[0]}/\*:", text), name


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (2, "mode: enforce\ndefault: {}", "'name' is missing"),
        (2, "name: x\nmode: enforced\ndefault: {}", "Did you mean 'enforce'?"),
        (3, "name: x\nmode: enforce\ndefault: {blok: 0.5}", "Did you mean 'block'?"),
        (3, "name: x\nmode: enforce\ndefault: {review: 1.5}", "from 0 to 1"),
        (3, "name: x\nmode: enforce\ndefault: {review: yes}", "from 0 to 1"),
        (3, "name: x\nmode: enforce\ndefault: {review: calibratd}", "or calibrated"),
        (3, "name: x\nmode: enforce\ndefault: {review: .nan}", "from 0 to 1"),
        (3, "name: x\nmode: enforce\ndefault: {review: 0.9, block: 0.5}", "block is the stricter action"),
        (
            5,
            "name: x\nmode: enforce\ndefault: {block: 0.5}\nlabels:\n  a: {review: 0.6}",
            "'labels.a' blocks",
        ),
        (5, "name: x\nmode: enforce\ndefault: {}\nlabels:\n  '*': {}", "no label"),
        (5, "name: x\nmode: enforce\ndefault: {}\nlabels:\n  a: {not_evaluated: {absnt: block}}", "'absent'"),
        (4, "name: x\nmode: enforce\ndefault: {}\nlables: {}", "Did you mean 'labels'?"),
        (4, "name: x\nmode: enforce\ndefault: {}\nname: y", "stands twice"),
        (3, "name: x\nmode: enforce\ndefault: {review: [", "not valid YAML"),
        (1, "- a", "must be a mapping"),
        (1, "name: 'a b'\nmode: enforce\ndefault: {}", "'name' cannot be"),
    ],
)
def test_a_bad_policy_is_refused_with_its_line_and_a_remedy(tmp_path, line, text, says):
    error = refusal(tmp_path, text)
    assert says in str(error)
    assert error.exit_code == 78
    if "missing" not in says:
        assert f"policy.yaml:{line}:" in error.findings[0].where


def test_every_mistake_is_listed_at_once(tmp_path):
    error = refusal(tmp_path, "name: x\nmode: on\ndefault: {review: 2, block: x}\n")
    assert len(error.findings) == 3


def test_a_policy_that_is_not_there_names_its_neighbour(tmp_path):
    (tmp_path / "policy.yaml").write_text(SIMPLE)
    with pytest.raises(ConfigError, match=r"Did you mean .*policy\.yaml"):
        Policy.load(tmp_path / "polciy.yaml")
