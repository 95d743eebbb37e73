"""`tidegate score`: files and pipes in, scores out in input order."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from service.errors import Exit
from service.sampling import media
from tests.harness import ROOT, environment, post
from tests.harness import picture as png


@pytest.fixture
def score(tiny):
    def run(*args, stdin=b""):
        command = [sys.executable, "-m", "service.cli.main", "score", "--bundle", str(tiny), *map(str, args)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), input=stdin, capture_output=True, timeout=60, check=False
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    return run


def test_lines_from_a_pipe_come_out_as_scores_in_their_order(score):
    code, lines, _ = score(stdin=b"\n".join(post(f"post {k}", id=f"e{k}") for k in range(600)))
    assert code == Exit.OK
    assert [line["id"] for line in lines] == [f"e{k}" for k in range(600)]
    assert {line["schema"] for line in lines} == {"tidegate.score/1"}


def test_a_line_that_fails_is_an_error_in_its_place_and_the_exit_code_is_65(score):
    code, lines, said = score(stdin=post("one") + b"\nnot json\n" + post("three"))
    assert code == Exit.DATA
    assert [line["schema"] for line in lines] == ["tidegate.score/1", "tidegate.error/1", "tidegate.score/1"]
    assert lines[1]["id"] == "stdin/0/1"
    assert (lines[1]["class"], lines[1]["reason"]) == ("invalid", "invalid_json")
    assert "1 event could not be scored" in said


POLICY = "name: mine\nmode: enforce\ndefault: {review: 0.5}\nlabels:\n"


def test_a_policy_with_a_misspelt_label_is_refused_as_lint_would(score, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY + "  harasment: {review: 0.2}\n")
    code, lines, said = score("--policy", tmp_path / "policy.yaml", stdin=post("one"))
    assert (code, lines) == (Exit.CONFIG, [])
    assert "policy.yaml:5:3" in said


def test_a_policy_of_the_configuration_is_checked_too_and_warnings_do_not_stop(score, tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY + "  nothing/*: {review: 0.2}\n")
    (tmp_path / "tidegate.yaml").write_text("policy: policy.yaml")
    code, lines, said = score("-c", tmp_path / "tidegate.yaml", stdin=post("one"))
    assert (code, len(lines)) == (Exit.OK, 1)
    assert "warning: " in said
    assert "nothing/*" in said


def test_blank_lines_are_passed_over_but_counted_as_lines(score):
    code, lines, _ = score(stdin=b"\n  \n" + post("third") + b"\n")
    assert code == Exit.OK
    assert [line["id"] for line in lines] == ["stdin/0/2"]


def test_a_line_over_the_limit_is_too_large_and_the_next_one_is_scored(score):
    stdin = post("x" * 5000) + b"\n" + post("short", id="after")
    code, lines, _ = score("--set", "limits.record_bytes=1000", stdin=stdin)
    assert code == Exit.DATA
    assert lines[0]["reason"] == "too_large"
    assert lines[1]["id"] == "after"


def test_media_and_text_files_are_events_of_their_own(score, tmp_path):
    (tmp_path / "picture").write_bytes(png())
    (tmp_path / "sound.ogg").write_bytes(media("melody.ogg"))
    (tmp_path / "words.txt").write_text("good morning")
    (tmp_path / "more.jsonl").write_bytes(post("and lines", id="last"))
    files = [tmp_path / name for name in ("picture", "sound.ogg", "words.txt", "more.jsonl")]
    code, lines, said = score(*files)
    assert code == Exit.OK, said
    scored = [
        {i["modality"] for i in line["inputs"] if i["status"] in ("scored", "truncated")} for line in lines
    ]
    assert scored == [{"image"}, {"audio"}, {"text"}, {"text"}]


def test_a_json_file_may_spread_one_event_over_lines(score, tmp_path):
    (tmp_path / "event.json").write_text(json.dumps({"id": "wide", "text": "hello"}, indent=2))
    code, lines, _ = score(tmp_path / "event.json")
    assert code == Exit.OK
    assert [line["id"] for line in lines] == ["wide"]


def test_a_file_of_unknown_kind_exits_65_and_names_what_is_known(score, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    code, _, said = score(tmp_path / "film.mp4")
    assert code == Exit.DATA
    assert "film.mp4" in said
    assert "JPEG" in said


@pytest.mark.parametrize(
    ("name", "data", "kind", "reason"),
    [
        ("film.mp4", b"\x00\x00\x00\x18ftypmp42", "media", "unsupported_media_type"),
        ("broken.png", b"not an image", "media", "undecodable"),
        ("unknown", b"\x00\x01\x02", "media", "unsupported_media_type"),
        ("empty.png", b"", "invalid", "no_content"),
        ("words.json", b"not json", "invalid", "invalid_json"),
        ("list.json", b'[\n{"text": "a"}\n]', "invalid", "invalid_event"),
    ],
)
def test_a_file_that_cannot_be_scored_is_an_error_in_its_place(score, tmp_path, name, data, kind, reason):
    (tmp_path / "good.jsonl").write_bytes(post("fine", id="good"))
    (tmp_path / name).write_bytes(data)
    code, lines, _ = score(tmp_path / "good.jsonl", tmp_path / name, tmp_path / "good.jsonl")
    assert code == Exit.DATA
    assert [line["id"] for line in lines] == ["good", f"{tmp_path / name}/0/0", "good"]
    assert (lines[1]["schema"], lines[1]["class"], lines[1]["reason"]) == ("tidegate.error/1", kind, reason)


def test_json_may_begin_with_a_byte_order_mark(score, tmp_path):
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf" + post("fine", id="good"))
    assert score(tmp_path / "marked")[0] == Exit.OK


def test_standard_output_is_a_stream(tiny):
    """The first scores come while the input is still open: memory does not grow with the input."""
    command = [sys.executable, "-m", "service.cli.main", "score", "--bundle", str(tiny)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for k in range(600):
            running.stdin.write(post("hello", id=f"e{k}") + b"\n")
        running.stdin.flush()
        assert json.loads(running.stdout.readline())["id"] == "e0"
        running.stdin.close()
        assert len(running.stdout.read().splitlines()) == 599
    assert running.returncode == 0


def by_path(name):
    """An event that names its image by path."""
    return json.dumps({"id": "e", "text": "see", "image": {"path": name}}).encode() + b"\n"


def test_media_by_path_are_read_from_beside_the_file(score, tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(png())
    (tmp_path / "events.jsonl").write_bytes(by_path("media/a.png"))
    code, lines, _ = score(tmp_path / "events.jsonl")
    assert code == Exit.OK
    assert {item["modality"]: item["status"] for item in lines[0]["inputs"]}["image"] == "scored"


@pytest.mark.parametrize("name", ["../a.png", "nowhere.png", "x" * 300, "a\0b"])
def test_a_path_that_leads_nowhere_or_out_of_the_folder_is_refused_with_a_remedy(score, tmp_path, name):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "events.jsonl").write_bytes(by_path(name))
    code, lines, _ = score(tmp_path / "in" / "events.jsonl")
    assert code == Exit.DATA
    assert "under the file's folder" in lines[0]["detail"]


def test_media_by_path_from_a_pipe_are_refused(score):
    code, _, _ = score(stdin=by_path("LICENSE"))
    assert code == Exit.DATA


def test_a_bundle_that_is_not_there_is_reported_as_the_option_that_named_it(score):
    code, _, said = score("--bundle", "joined", stdin=post("one"))
    assert code == Exit.CONFIG
    assert "--bundle" in said
    assert "--set" not in said
