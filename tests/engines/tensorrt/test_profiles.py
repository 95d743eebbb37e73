"""Every bucket lies in a profile, in which only rows vary; several profiles an engine from 10.8 on."""

from __future__ import annotations

import pytest

from engines.errors import EngineError
from engines.planner import Budget
from engines.tensorrt.buckets import Bucket, buckets_of
from engines.tensorrt.profiles import Profile, place, profiles_of, release
from tests.engines.tensorrt.shapes import AUDIO, IMAGE, spec, text

LADDERS = {
    "text": buckets_of("text", text("words", "chars"), spec(256, "bag"), Budget()),
    "image": buckets_of("image", IMAGE, spec(), Budget()),
    "audio": buckets_of("audio", AUDIO, spec(), Budget()),
}


@pytest.mark.parametrize("tower", LADDERS)
@pytest.mark.parametrize("version", ["10.6.0", "10.7.0.23", "10.8.0.43", "10.15.1.29", "11.4.1"])
def test_every_bucket_has_a_place(tower: str, version: str):
    engines = profiles_of(LADDERS[tower], version)
    for bucket in LADDERS[tower]:
        engine, profile = place(engines, bucket)
        assert engines[engine][profile].holds(bucket)
        assert dict(engines[engine][profile].highest.axes) == dict(bucket.axes)


@pytest.mark.parametrize("tower", LADDERS)
def test_engines_have_one_profile_before_10_8_and_all_of_them_after(tower: str):
    old, new = profiles_of(LADDERS[tower], "10.7.9"), profiles_of(LADDERS[tower], "10.8.0")
    assert {len(profiles) for profiles in old} == {1}
    assert len(new) == 1
    assert new[0] == tuple(profile for profiles in old for profile in profiles)
    assert len(new[0]) == len({bucket.axes for bucket in LADDERS[tower]})


@pytest.mark.parametrize("tower", LADDERS)
def test_min_opt_and_max_are_in_order_and_none_is_empty(tower: str):
    for (profile,) in profiles_of(LADDERS[tower], "10.6"):
        assert 1 <= profile.lowest.rows <= profile.typical.rows <= profile.highest.rows
        assert profile.holds(profile.lowest)
        assert profile.holds(profile.typical)


def test_equal_names_are_equal_sizes_in_every_input():
    for profile in profiles_of(LADDERS["audio"], "11.0")[0]:
        samples, lengths = (profile.highest.shape(one) for one in AUDIO.inputs)
        assert samples[0] == lengths[0] == profile.highest.rows


def test_what_lies_in_no_profile_is_told():
    engines = profiles_of(LADDERS["image"], "11.0")
    with pytest.raises(EngineError, match="no profile has 33 rows"):
        place(engines, Bucket(33))


def test_a_profile_comes_back_from_json():
    for profile in profiles_of(LADDERS["text"], "11.0")[0]:
        assert Profile.from_dict(profile.to_dict()) == profile


@pytest.mark.parametrize(
    ("version", "found"), [("10.15.1.29", (10, 15)), ("11.4.1", (11, 4)), ("10.6", (10, 6))]
)
def test_a_release_is_read_from_its_version(version: str, found: tuple[int, int]):
    assert release(version) == found


def test_a_version_that_is_none_is_told():
    with pytest.raises(EngineError, match="cannot be read"):
        release("dev")
