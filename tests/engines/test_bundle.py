"""A bundle is used only where every byte is the one its maker sealed."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path

import pytest

from engines import bundle as bundles
from engines.bundle import Bundle, locate
from engines.errors import BundleError
from tests.tiny_bundle import LABELS, TOKENS, WIDTH, seal


def forge(folder: Path, **changes: object) -> None:
    """Change the manifest and give it the digest that fits: what an attacker with a text editor can do."""
    tree = json.loads((folder / "bundle.json").read_bytes()) | changes
    tree["digest"] = bundles._digest(tree)
    (folder / "bundle.json").write_bytes(bundles._render(tree))


def files(folder: Path) -> dict:
    return json.loads((folder / "bundle.json").read_bytes())["files"]


def refused(folder: Path, why: str) -> BundleError:
    with pytest.raises(BundleError, match=why) as caught:
        Bundle.load(folder)
    return caught.value


def test_a_sealed_bundle_loads_with_all_it_says(bundle: Bundle):
    assert (bundle.name, bundle.version, bundle.width) == ("tiny", "1", WIDTH)
    assert bundle.tokens == tuple(TOKENS.values())
    assert bundle.synthetic == ("text", "image", "audio")
    assert bundle.labels == LABELS
    assert bundle.precisions == ("fp32", "bf16")
    assert bundle.golden is not None
    assert len(bundle.digest) == 64


@pytest.mark.parametrize(
    "name",
    [
        "bundle.json",
        "labels.yaml",
        "preprocess.json",
        "calibration.json",
        "golden.safetensors",
        "text.onnx",
        "head.onnx",
    ],
)
def test_one_flipped_bit_anywhere_is_refused(folder: Path, name: str):
    data = bytearray((folder / name).read_bytes())
    step = max(1, len(data) // 60)
    for at in {*range(0, len(data), step), len(data) - 1}:
        data[at] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(BundleError):
            Bundle.load(folder)
        data[at] ^= 1
    (folder / name).write_bytes(data)
    Bundle.load(folder)


def test_every_byte_of_the_manifest_counts_even_white_space(folder: Path):
    path = folder / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b": ", b":\t", 1))
    refused(folder, "digest")


def test_an_error_says_what_where_why_and_what_to_do(folder: Path):
    (folder / "text.onnx").write_bytes(b"x" * (folder / "text.onnx").stat().st_size)
    error = refused(folder, "SHA-256")
    assert error.what
    assert error.where == str(folder / "text.onnx")
    assert error.why
    assert error.remedy


def test_nothing_is_parsed_before_it_is_verified(folder: Path):
    (folder / "labels.yaml").write_text("labels: {")
    refused(folder, "bytes instead of")


@pytest.mark.parametrize("name", ["extra.onnx", "notes.txt", ".hidden", "model.pkl"])
def test_a_file_that_the_manifest_does_not_name_is_refused(folder: Path, name: str):
    (folder / name).write_bytes(b"?")
    refused(folder, "does not name")


@pytest.mark.parametrize("name", ["text.onnx", "labels.yaml", "golden.safetensors"])
def test_a_missing_file_is_refused(folder: Path, name: str):
    (folder / name).unlink()
    refused(folder, "missing")


@pytest.mark.parametrize(
    "name", ["../outside.json", "/etc/passwd.json", "a/b.json", "..json", "a\\b.json", ".json"]
)
def test_a_way_out_of_the_folder_is_refused(folder: Path, name: str):
    forge(folder, files=files(folder) | {name: {"sha256": "0" * 64, "bytes": 1}})
    refused(folder, "plain file name")


def test_a_symbolic_link_is_refused_even_to_the_right_bytes(folder: Path):
    (folder / "text.onnx").rename(folder.parent / "text.onnx")
    (folder / "text.onnx").symlink_to(folder.parent / "text.onnx")
    refused(folder, "link")


def test_a_folder_in_the_bundle_is_refused(folder: Path):
    (folder / "more.json").mkdir()
    refused(folder, "does not name")


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.bin", "run.py", "plan.engine"])
def test_a_file_that_could_carry_code_is_refused_even_if_sealed(folder: Path, name: str):
    (folder / name).write_bytes(pickle.dumps(1))
    with pytest.raises(BundleError, match="may not hold"):
        seal(folder)
    (folder / name).unlink()
    forge(folder, files=files(folder) | {name: {"sha256": "0" * 64, "bytes": 1}})
    refused(folder, "may not hold")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema": "tidegate.bundle/2"}, "schema"),
        ({"surprise": 1}, "surprise"),
        ({"width": "wide"}, "width"),
        ({"width": 0}, "positive"),
        ({"tokens": {"text": 1, "image": 1}}, "tokens"),
        ({"graphs": {"text": {"fp32": "text.onnx"}}}, "graphs"),
        ({"synthetic": ["smell"]}, "synthetic"),
        ({"files": {}}, "does not name"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_though_its_digest_fits(
    folder: Path, changes: dict, why: str
):
    forge(folder, **changes)
    refused(folder, why)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"x" * (2 << 20)])
def test_a_manifest_that_is_none_is_refused(folder: Path, data: bytes):
    (folder / "bundle.json").write_bytes(data)
    with pytest.raises(BundleError):
        Bundle.load(folder)


def test_a_file_changed_after_loading_is_not_read(folder: Path):
    loaded = Bundle.load(folder)
    (folder / "head.onnx").write_bytes((folder / "text.onnx").read_bytes())
    with pytest.raises(BundleError, match="just been changed"):
        loaded.read("head.onnx")


def test_sealing_twice_gives_the_same_digest(folder: Path):
    assert seal(folder).digest == seal(folder).digest


def test_any_change_changes_the_digest(folder: Path):
    before = seal(folder).digest
    (folder / "README.md").write_text("A note.")
    assert seal(folder).digest != before


def test_a_precision_without_a_graph_of_its_own_uses_the_fp32_one(bundle: Bundle):
    assert bundle.graph("text", "bf16") == bundle.graph("text", "fp32") == bundle.folder / "text.onnx"


def test_a_bundle_that_is_not_there_is_named_with_what_there_is(tmp_path: Path):
    with pytest.raises(BundleError, match="There is no bundle") as caught:
        Bundle.load(tmp_path / "nothing")
    assert "shipped bundle's name" in caught.value.remedy


def test_a_shipped_bundle_is_found_by_its_name(built: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundles, "SHIPPED", built.parent)
    assert locate("tiny") == built


def test_every_file_of_a_bundle_can_be_read_by_whom_the_umask_lets(folder: Path):
    (folder / "golden.safetensors").chmod(0o600)
    before = os.umask(0o022)
    try:
        seal(folder)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
