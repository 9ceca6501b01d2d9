"""From a cover's bytes to the pixels an image encoder takes, in a small pool of threads, one batch ahead.

The whole cover is squeezed into the square, not cropped: posters carry subject and words up to the edges.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

K = TypeVar("K")  # what names a cover

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # no format that starts another program
DECODING = 1  # part of an encoder's identity: raise it when the same cover comes to give other pixels
MAX_PIXELS = 50_000_000  # a photograph of 8,000 x 6,000; more is a mistake or an attack
_LARGE = 4_000_000  # pixels; beyond, images are decoded one at a time: of the largest each takes up to 800 MB
_ONE_LARGE_IMAGE = Lock()
_BLOCK = 64 << 20  # bytes that Pillow takes at once: beyond 32 MiB glibc hands memory back, below each thread hoards it
_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class Refused:
    """A cover that gives no pixels, and why."""

    kind: Literal["missing", "unreadable", "tiny"]
    why: str


def decode(data: bytes | None, side: int, smallest_side: int = 1) -> np.ndarray | Refused:
    """The image in ``data`` as ``[side, side, 3]`` uint8 RGB, or why there is none.

    Of an animation the first frame; grey, palette and CMYK become RGB; what is transparent becomes white.
    """
    from PIL import UnidentifiedImageError

    if data is None:
        return Refused("missing", "no file")
    if not data:
        return Refused("unreadable", "no bytes that can be read")
    try:
        with opened(data) as image:
            width, height = image.size
            if min(width, height) < smallest_side:
                return Refused("tiny", f"{width} x {height} pixels")
            image.draft("RGB", (side, side))  # JPEG only: decode at 1/2, 1/4 or 1/8 where that is still large enough
            with _ONE_LARGE_IMAGE if image.width * image.height > _LARGE else nullcontext():
                return _square(image, side)
    except UnidentifiedImageError:  # its text holds a memory address
        return Refused("unreadable", f"not an image in a format we read ({', '.join(FORMATS)})")
    except Exception as error:  # on damaged bytes a decoder may raise nearly anything; the reason is reported
        # On one line, and without addresses in memory, which differ from run to run.
        reason = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(error).split()))[:200]
        return Refused("unreadable", f"{type(error).__name__}: {reason}")


@contextmanager
def opened(data: bytes) -> Iterator[Image]:
    """An image in a format we read, of at most ``MAX_PIXELS`` by its header; nothing is decoded yet."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        yield image


def _square(image: Image, side: int) -> np.ndarray:
    from PIL import Image, ImageOps

    image.load()
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # 16-bit grey; a plain convert clips it at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    # reducing_gap: a much larger image first shrinks by a whole factor, which is quicker and hardly differs.
    image = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(image)


def decoded_batches(
    covers: Iterable[tuple[K, bytes | None]], side: int, smallest_side: int, batch_size: int, threads: int
) -> Iterator[list[tuple[K, np.ndarray | Refused]]]:
    """Pairs of a cover's name and its pixels, ``batch_size`` at a time in the order of ``covers``.

    While one batch is with the encoder the next is decoded: never more than two are in memory.
    """
    from PIL import Image

    Image.init()  # find the formats now: not from several threads at once
    Image.core.set_block_size(_BLOCK)  # type: ignore[attr-defined]  # Pillow means it by PILLOW_BLOCK_SIZE
    decoder = partial(decode, side=side, smallest_side=smallest_side)
    stream = iter(covers)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        # Odd metadata are no news to anybody, and sizes are judged by MAX_PIXELS.
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        waiting: list = []
        while (chunk := list(islice(stream, batch_size))) or waiting:
            started = [(item, pool.submit(decoder, data)) for item, data in chunk]
            if waiting:
                yield [(item, future.result()) for item, future in waiting]
            waiting = started
