"""What does it cost to decode media in other processes, where a broken file can do no harm?"""

from __future__ import annotations

from collections.abc import Sequence

from engines.preprocess.image import ImageLimits, decode_image
from engines.preprocess.spec import AudioSpec, ImageSpec
from service.bench.load import distinct
from service.config import Limits
from service.event import Media
from service.intake.pool import DecodePool
from tests.bench.race import race, tell

SIDE = 64


def main() -> None:
    spec = ImageSpec(SIDE, SIDE)
    pictures = [event.value for event in distinct("image") if event.headers]
    with_pool = {count: DecodePool(spec, AudioSpec(seconds=10.0), Limits(), count) for count in (1, 2)}
    for pool in with_pool.values():
        pool.start()
    best = race(
        {
            "in place": lambda: [decode_image(data, spec, ImageLimits()) for data in pictures],
            "one worker": lambda: through(with_pool[1], pictures),
            "two workers": lambda: through(with_pool[2], pictures),
        }
    )
    for pool in with_pool.values():
        pool.close()
    tell(f"{len(pictures)} JPEGs to {SIDE}x{SIDE}", best, len(pictures), "in place")


def through(pool: DecodePool, pictures: Sequence[bytes]) -> None:
    futures = [pool.submit(Media("image", "image/jpeg", data, 0, None)) for data in pictures]
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
