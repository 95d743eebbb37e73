import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from engines.preprocess.audio import AudioLimits, decode_audio
from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import AudioSpec, ImageSpec
from service.config import Limits
from service.errors import InternalError, RecordError
from service.event import Media
from service.intake.pool import DecodePool

IMAGE, AUDIO = ImageSpec(48, 64), AudioSpec(2.0)


def jpeg(seed=0, size=(200, 150)):
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def wav(seconds=1.0):
    buffer = io.BytesIO()
    wave = np.random.default_rng(1).standard_normal(int(22_050 * seconds)) * 0.1
    soundfile.write(buffer, wave, 22_050, format="WAV")
    return buffer.getvalue()


def image(data):
    return Media("image", "image/jpeg", data)


def poison(kind):
    """A good image with a fail point behind its end."""
    return image(jpeg() + b"fail-decode-" + kind.encode())


@pytest.fixture
def pool(monkeypatch):
    """Starts pools whose workers obey every fail point, and closes them."""
    monkeypatch.setenv("TIDEGATE_FAIL_DECODE", "crash,hang,oom,exit")
    pools = []

    def start(workers=1, **limits):
        restarts = []
        made = DecodePool(IMAGE, AUDIO, Limits(**limits), workers, restarts.append)
        pools.append(made)
        made.start()
        made.restarts = restarts
        return made

    yield start
    for made in pools:
        made.close()


def reason(future, within=30):
    error = future.exception(within)
    assert isinstance(error, RecordError)
    assert error.kind == "media"
    return error.reason


def test_a_pool_decodes_as_the_functions_do(pool):
    decode = pool(2)
    images = [jpeg(seed) for seed in range(20)]
    futures = [decode.submit(image(data)) for data in images]
    sound = decode.submit(Media("audio", "audio/wav", wav(3.0)))
    for data, future in zip(images, futures, strict=True):
        (expected,) = decode_image(data, IMAGE, ImageLimits())
        (got,) = future.result(30).rows
        assert (got == expected).all()
    expected_sound = decode_audio(wav(3.0), AUDIO, AudioLimits())
    assert (sound.result(30).rows[0] == expected_sound.samples).all()
    assert sound.result().truncated


def test_an_animation_gives_several_rows(pool):
    frames = [Image.new("RGB", (64, 64), (k * 60, 0, 0)) for k in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert len(pool().submit(Media("image", "image/gif", buffer.getvalue())).result(30).rows) == 3


@pytest.mark.parametrize("kind", ["crash", "exit"])
def test_an_item_that_kills_its_worker_costs_only_itself(pool, kind):
    decode = pool()
    futures = [
        decode.submit(m) for m in (image(jpeg(1)), poison(kind), *(image(jpeg(k)) for k in range(2, 9)))
    ]
    assert reason(futures.pop(1)) == "killed_worker"
    assert all(future.result(30).rows for future in futures)
    assert decode.restarts == ["crash", "crash"]


def test_a_worker_killed_from_outside_costs_nothing(pool):
    decode = pool()
    futures = [decode.submit(image(jpeg(k))) for k in range(8)]
    os.kill(decode.pids()[0], signal.SIGKILL)
    assert all(future.result(30).rows for future in futures)
    assert decode.submit(image(jpeg())).result(30).rows
    assert decode.restarts == ["crash"]


def test_an_item_that_hangs_is_killed_in_time_and_its_neighbours_are_decoded(pool):
    decode = pool(decode_seconds=0.5)
    start = time.monotonic()
    futures = [decode.submit(m) for m in (image(jpeg(1)), poison("hang"), image(jpeg(2)))]
    assert reason(futures.pop(1)) == "decode_timeout"
    assert time.monotonic() - start < 5
    assert all(future.result(30).rows for future in futures)
    assert decode.restarts == ["hang"]


def test_an_item_that_eats_memory_fails_and_the_worker_goes_on(pool):
    decode = pool(decode_memory=64 << 20)
    (pid,) = decode.pids()
    futures = [decode.submit(m) for m in (poison("oom"), image(jpeg(2)))]
    assert reason(futures[0]) == "out_of_memory"
    assert futures[1].result(30).rows
    assert decode.pids() == [pid]


def test_many_poisoned_items_between_good_ones(pool):
    decode = pool(2, decode_seconds=0.5)
    media = [poison("crash") if k % 5 == 2 else image(jpeg(k)) for k in range(20)]
    futures = [decode.submit(item) for item in media]
    outcomes = [future.exception(60) for future in futures]
    assert [k for k, outcome in enumerate(outcomes) if outcome] == [2, 7, 12, 17]


def test_an_item_larger_than_every_buffer_passes(pool):
    data = jpeg() + bytes(9 << 20)
    futures = [pool().submit(image(data)) for _ in range(3)]
    assert all(future.result(30).rows for future in futures)


def test_broken_bytes_fail_with_their_reason(pool):
    decode = pool()
    assert reason(decode.submit(image(jpeg()[:500]))) == "undecodable"
    assert reason(decode.submit(image(b"%PDF"))) == "unsupported_media_type"
    assert reason(decode.submit(Media("audio", "audio/wav", b""))) == "unsupported_media_type"


def test_workers_ignore_the_signals_that_drain_the_daemon(pool):
    decode = pool()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(decode.pids()[0], number)
    assert decode.submit(image(jpeg())).result(30).rows
    assert decode.restarts == []


def test_a_closed_pool_leaves_no_process_and_takes_nothing(pool):
    decode = pool(2, decode_seconds=60)
    pids = decode.pids()
    waiting = decode.submit(poison("hang"))
    time.sleep(0.2)
    decode.close()
    assert isinstance(waiting.exception(1), InternalError)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(InternalError, match="closed"):
        decode.submit(image(jpeg()))


def test_workers_die_with_a_parent_that_is_killed():
    program = (
        "import time; from engines.preprocess.spec import *; from service.config import Limits;"
        "from service.intake.pool import DecodePool;"
        "pool = DecodePool(ImageSpec(8, 8), AudioSpec(1.0), Limits(), 2); pool.start();"
        "time.sleep(0.5); print(*pool.pids(), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with parent.stdout:
        pids = parent.stdout.readline().split()
    assert len(pids) == 2
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_pool_that_cannot_start_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    decode = DecodePool(IMAGE, AUDIO, Limits(), 1)
    with pytest.raises(InternalError, match="die while starting"):
        decode.start()
