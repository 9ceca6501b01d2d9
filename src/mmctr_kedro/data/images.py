"""From a cover's bytes to the pixels an image encoder takes, in a small pool of threads, one batch ahead.

The whole cover is squeezed into the square, not cropped: posters carry subject and words up to the edges.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.words import percent

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


def decode(data: bytes | None, side: int, smallest_side: int = 1, *, by_area: bool = False) -> np.ndarray | Refused:
    """The image in ``data`` as ``[side, side, 3]`` uint8 RGB, or why there is none.

    Of an animation the first frame; grey, palette and CMYK become RGB; what is transparent becomes white.

    Args:
        by_area: Each pixel is the mean of the area it stands for, as statistics want it; else bicubic, for encoders.
    """
    from PIL import UnidentifiedImageError

    if data is None:
        return Refused("missing", "no file")
    if not data:
        return Refused("unreadable", "no bytes that can be read: empty, too large, not permitted, or a link to nowhere")
    try:
        with opened(data) as image:
            width, height = image.size
            if min(width, height) < smallest_side:
                return Refused("tiny", f"{width} x {height} pixels")
            # JPEG only: decode at 1/2, 1/4 or 1/8 where that is still large enough.
            image.draft("RGB", (4 * side, 4 * side) if by_area else (side, side))
            with _ONE_LARGE_IMAGE if image.width * image.height > _LARGE else nullcontext():
                return _square(image, side, by_area)
    except UnidentifiedImageError:  # its text holds a memory address
        says = f"not an image in a format we read ({', '.join(FORMATS)}); it begins with {data[:24]!r}"
        return Refused("unreadable", says)
    except Exception as error:  # on damaged bytes a decoder may raise nearly anything; the reason is reported
        # On one line, and without addresses in memory, which differ from run to run.
        reason = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(error).split()))[:200]
        return Refused("unreadable", f"{type(error).__name__}: {reason}")


def refuse_unusable(refused: Mapping[Any, Refused], expected: int, most: float, where: object, setting: str) -> None:
    """Stop where more than the share ``most`` of the covers expected cannot be used: words alone would make vectors.

    Args:
        refused: By item, those that cannot.
        setting: The block of settings that has ``most``.
    """
    if len(refused) <= most * expected:
        return
    kinds = Counter(found.kind for found in refused.values()).most_common()
    item = min(item for item, found in refused.items() if found.kind == kinds[0][0])
    raise MmctrError(
        f"{where}: {len(refused):,} of {expected:,} covers cannot be used ("
        f"{', '.join(f'{count:,} {kind}' for kind, count in kinds)}), e.g. of item {item}: {refused[item].why}. "
        f"Expected at most {percent(most)}. Mend them, or go on without: --params {setting}.most_unusable_covers=1"
    )


@contextmanager
def opened(data: bytes) -> Iterator[Image]:
    """An image in a format we read, of at most ``MAX_PIXELS`` by its header; nothing is decoded yet."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
        yield image


def _square(image: Image, side: int, by_area: bool) -> np.ndarray:
    from PIL import Image, ImageOps

    if image.mode in ("I", "F", "LAB"):  # a plain convert makes them white or black, or takes L, a and b for RGB
        raise ValueError(f"its pixels (Pillow's mode {image.mode}) are not said to be any colours: save it as RGB")
    image.load()
    with suppress(Exception):  # on damaged EXIF Pillow raises nearly anything, and the picture is whole
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # 16-bit grey; a plain convert clips it at 255
        grey = np.asarray(image)
        image = Image.fromarray(np.where(grey == image.info.get("transparency", -1), 255, grey >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    if by_area:
        return np.asarray(image.resize((side, side), Image.Resampling.BOX))
    # reducing_gap: a much larger image first shrinks by a whole factor, which is quicker and hardly differs.
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))


def decoded_batches(
    covers: Iterable[tuple[K, bytes | None]],
    side: int,
    smallest_side: int,
    batch_size: int,
    threads: int,
    by_area: bool = False,
) -> Iterator[list[tuple[K, np.ndarray | Refused]]]:
    """Pairs of a cover's name and its pixels, ``batch_size`` at a time in the order of ``covers``.

    While one batch is with the encoder the next is decoded: never more than two are in memory.
    """
    from PIL import Image

    Image.init()  # find the formats now: not from several threads at once
    Image.core.set_block_size(_BLOCK)  # type: ignore[attr-defined]  # Pillow means it by PILLOW_BLOCK_SIZE
    decoder = partial(decode, side=side, smallest_side=smallest_side, by_area=by_area)
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
