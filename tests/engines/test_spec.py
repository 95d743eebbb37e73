import json

import pytest

from engines.errors import BundleError
from engines.preprocess.spec import AudioSpec, ImageSpec, Preprocess, TextSpec

SPEC = Preprocess(TextSpec(32_768, 128), ImageSpec(96, 96), AudioSpec(5.0))


def test_a_specification_survives_its_file(tmp_path):
    path = tmp_path / "preprocess.json"
    path.write_text(SPEC.to_json())
    assert Preprocess.load(path) == SPEC


@pytest.mark.parametrize(
    ("part", "change", "why"),
    [
        ("text", {"colour": 1}, "unknown colour"),
        ("audio", {"seconds": True}, "audio.seconds has the wrong type"),
        ("audio", {"seconds": float("inf")}, "between 0 and 3600"),
        ("image", {"height": "96"}, "image.height has the wrong type"),
        ("image", {"fit": "tile"}, "'tile' is unknown"),
        ("image", {"resample": "magic"}, "'magic' is unknown"),
        ("image", {"fit": "crop", "edge": 64}, "image.edge must hold what is kept"),
        ("text", {"kind": "tokenizer"}, r"must name a tokenizer\.json"),
        ("text", {"files": [1]}, "text.files must be names"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(tmp_path, part, change, why):
    tree = json.loads(SPEC.to_json())
    tree[part].update(change)
    path = tmp_path / "preprocess.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(BundleError, match=why) as caught:
        Preprocess.load(path)
    assert caught.value.where == str(path)


def test_the_bytes_of_its_files_are_no_part_of_the_json():
    spec = Preprocess(TextSpec(99, 8, "tokenizer", ("a.json", "b.json")), SPEC.image, SPEC.audio)
    full = spec.filled(str.encode)
    assert full.text.contents == (b"a.json", b"b.json")
    assert full.text.channels == ("ids", "ids_2")
    assert full.to_json() == spec.to_json()
    assert Preprocess.from_json(full.to_json()) == spec


def test_a_missing_file_says_which(tmp_path):
    with pytest.raises(BundleError, match=r"nowhere\.json"):
        Preprocess.load(tmp_path / "nowhere.json")
