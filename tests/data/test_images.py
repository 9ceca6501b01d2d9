"""Covers of every odd kind: pixels where there is an image, a reason where there is none, never a crash."""

import io
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data import images
from mmctr_kedro.data.images import MAX_PIXELS, Refused, decode, decoded_batches, refuse_unusable

SIDE = 32
RED, GREY = (255, 0, 0), (90, 90, 90)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(colour=RED, size=(64, 64), **options) -> bytes:
    return saved(Image.new("RGB", size, colour), "JPEG", **options)


def colour(data: bytes, by_area: bool) -> np.ndarray:
    """The mean colour of a decoded cover."""
    pixels = decode(data, SIDE, by_area=by_area)
    assert not isinstance(pixels, Refused), pixels
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels.dtype == np.uint8
    return pixels.mean((0, 1))


def palette_gif() -> bytes:
    frames = [Image.new("RGB", (40, 40), c).convert("P") for c in (RED, "blue", "green")]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def palette_png_with_a_transparent_colour() -> bytes:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0] * 256)
    return saved(image, transparency=0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(jpeg(), RED, id="jpeg"),
        pytest.param(jpeg(size=(900, 1500)), RED, id="large jpeg, decoded at a fraction"),
        pytest.param(jpeg(progressive=True), RED, id="progressive jpeg"),
        pytest.param(saved(Image.new("L", (40, 40), 90), "JPEG"), GREY, id="grey jpeg"),
        pytest.param(saved(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG"), RED, id="CMYK jpeg"),
        pytest.param(saved(Image.new("RGB", (40, 40), RED).convert("P")), RED, id="palette png"),
        pytest.param(palette_png_with_a_transparent_colour(), (255, 255, 255), id="transparent palette png"),
        pytest.param(saved(Image.new("RGBA", (40, 40), (0, 0, 0, 0))), (255, 255, 255), id="clear png"),
        pytest.param(saved(Image.new("LA", (40, 40), (90, 255))), GREY, id="grey png with alpha"),
        pytest.param(saved(Image.new("1", (40, 40), 1)), (255, 255, 255), id="black and white png"),
        pytest.param(saved(Image.fromarray(np.full((40, 40), 90 * 256, np.uint16))), GREY, id="16-bit grey png"),
        pytest.param(palette_gif(), RED, id="first frame of an animated gif"),
        pytest.param(saved(Image.new("RGB", (40, 40), RED), "WEBP", lossless=True), RED, id="webp"),
        pytest.param(saved(Image.new("RGB", (40, 40), RED), "BMP"), RED, id="bmp under a wrong name"),
        pytest.param(jpeg(size=(1, 1)), RED, id="1 x 1 where that is allowed"),
        pytest.param(jpeg(size=(2000, 9)), RED, id="very wide"),
    ],
)
@pytest.mark.parametrize("by_area", [False, True], ids=["encoders", "import"])
def test_an_image_of_any_kind_becomes_rgb(data, expected, by_area):
    np.testing.assert_allclose(colour(data, by_area), expected, atol=2)


def test_one_picture_looks_the_same_to_encoders_and_import_however_it_is_kept():
    grey = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint8) + 30
    plain = Image.fromarray(grey).convert("RGB")
    turned, exif = plain.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    hidden = np.dstack([np.zeros((96, 96, 3), np.uint8), np.full((96, 96), 0, np.uint8)])
    hidden[48:] = np.dstack([grey[48:]] * 3 + [np.full((48, 96), 255, np.uint8)])  # the upper half is transparent black
    white_above = np.where(np.arange(96)[:, None] < 48, 255, grey).astype(np.uint8)
    kinds = {
        "16-bit grey": saved(Image.fromarray(grey.astype(np.uint16) * 257)),
        "16-bit grey, other byte order": saved(Image.fromarray(grey.astype(">u2") * 257), "TIFF"),
        "turned jpeg": saved(turned, "JPEG", quality=98, exif=exif),
        "turned png": saved(turned, exif=exif),
        "palette": saved(plain.convert("P", palette=Image.Palette.ADAPTIVE)),
        "CMYK": saved(plain.convert("CMYK"), "JPEG", quality=98),
        "animated gif": saved(plain, "GIF", save_all=True, append_images=[Image.new("RGB", (96, 96))]),
        "animated webp": saved(plain, "WEBP", save_all=True, append_images=[Image.new("RGB", (96, 96))], lossless=True),
        "as phones save it, two pictures in one": saved(
            plain, "MPO", save_all=True, append_images=[Image.new("RGB", (96, 96))], quality=98
        ),
    }
    for by_area in (False, True):

        def read(data: bytes, by_area: bool = by_area) -> np.ndarray:
            return decode(data, SIDE, by_area=by_area).astype(int)

        expected = read(saved(plain))
        for kind, data in kinds.items():
            assert np.abs(read(data) - expected).mean() < 1, kind
        np.testing.assert_array_equal(read(saved(Image.fromarray(hidden))), read(saved(Image.fromarray(white_above))))


def test_a_transparent_grey_of_16_bits_is_white():
    header, grey = struct.pack(">IIBBBBB", 40, 40, 16, 0, 0, 0, 0), struct.pack(">H", 90 * 257)
    rows = zlib.compress((b"\0" + 40 * grey) * 40)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", grey) + chunk(b"IDAT", rows)
    assert (decode(png + chunk(b"IEND", b""), SIDE) == 255).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_no_known_range_are_refused(kind):
    found = decode(saved(Image.fromarray(np.full((40, 40), 90, kind)), "TIFF"), SIDE)
    assert isinstance(found, Refused)
    assert "save it as RGB" in found.why


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_metadata_cost_no_picture(kind):
    data = saved(Image.new("RGB", (40, 40), RED), kind, exif=b"Exif\0\0not a TIFF header")
    np.testing.assert_allclose(decode(data, SIDE).mean((0, 1)), RED, atol=2)


def test_a_cover_turned_by_its_camera_is_turned_back():
    image = Image.new("RGB", (64, 64), "white")
    image.paste(RED, (0, 0, 64, 32))  # red above
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = decode(saved(image, "PNG", exif=exif), SIDE)
    np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255))
    np.testing.assert_array_equal(pixels[-1, 0], RED)


def test_the_whole_cover_is_squeezed_into_the_square():
    image = Image.new("RGB", (40, 120), "white")
    image.paste(RED, (0, 60, 40, 120))
    pixels = decode(saved(image), SIDE)
    assert (pixels[: SIDE // 2 - 2] == 255).all()
    np.testing.assert_array_equal(pixels[-1, -1], RED)


def bomb(width: int, height: int) -> bytes:
    """A png whose header promises more pixels than any honest cover has."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        pytest.param(None, "missing", "no file", id="missing"),
        pytest.param(b"", "unreadable", "no bytes", id="empty file"),
        pytest.param(b"<html>404</html>", "unreadable", "not an image", id="a web page"),
        pytest.param(jpeg()[:300], "unreadable", "OSError", id="cut inside the header"),
        pytest.param(jpeg(size=(300, 300), quality=95)[:-900], "unreadable", "truncated", id="cut short"),
        pytest.param(jpeg(size=(7, 300)), "tiny", "7 x 300 pixels", id="narrow"),
        pytest.param(jpeg(size=(1, 1)), "tiny", "1 x 1 pixels", id="1 x 1"),
        pytest.param(bomb(10_000, 8_000), "unreadable", "10000 x 8000", id="too many pixels"),
        pytest.param(bomb(60_000, 60_000), "unreadable", "DecompressionBomb", id="a bomb"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", "unreadable", "not an image", id="a program"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(data, kind, why):
    refused = decode(data, SIDE, smallest_side=8)
    assert isinstance(refused, Refused)
    assert refused.kind == kind
    assert why in refused.why
    assert "0x" not in refused.why, "a memory address would differ from run to run"


def test_no_cut_or_garbled_file_ever_raises():
    whole = [jpeg(size=(40, 40)), palette_gif(), saved(Image.new("RGBA", (40, 40), RED))]
    random = np.random.default_rng(3)
    for data in whole:
        for _ in range(60):
            broken = bytearray(data[: random.integers(1, len(data) + 1)])
            broken[random.integers(len(broken))] ^= int(random.integers(1, 256))
            assert isinstance(decode(bytes(broken), SIDE), np.ndarray | Refused)


def test_the_limit_on_pixels_lets_large_photographs_through():
    assert MAX_PIXELS >= 8_000 * 6_000


def test_batches_keep_the_order_and_lose_nothing():
    covers = [(item, jpeg() if item % 3 else None) for item in range(1, 11)]
    batches = list(decoded_batches(covers, SIDE, 8, batch_size=4, threads=2))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    flat = [(item, isinstance(found, Refused)) for batch in batches for item, found in batch]
    assert flat == [(item, item % 3 == 0) for item in range(1, 11)]


def test_no_more_than_two_batches_of_covers_are_in_memory():
    taken = 0

    def covers():
        nonlocal taken
        for item in range(1, 41):
            taken += 1
            yield item, None

    for number, batch in enumerate(decoded_batches(covers(), SIDE, 8, batch_size=5, threads=2), start=1):
        assert len(batch) == 5
        assert taken <= 5 * (number + 1)


def test_large_images_are_decoded_one_at_a_time(monkeypatch):
    """However many threads: a full-size one takes 800 MB."""
    inside, most = 0, 0
    square = images._square

    def counted(*arguments):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return square(*arguments)

    monkeypatch.setattr(images, "_square", counted)
    monkeypatch.setattr(images, "_LARGE", 64 * 64 - 1)
    for size, together in ((64, False), (60, True)):
        most = 0
        png = saved(Image.new("RGB", (size, size)))
        list(decoded_batches([(turn, png) for turn in range(8)], SIDE, 8, batch_size=8, threads=8))
        assert (most > 1) is together


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P6 9 9 255\n" + bytes(243)])
def test_a_format_that_starts_another_program_or_that_no_cover_has_is_not_opened(data):
    found = decode(data, SIDE)
    assert isinstance(found, Refused)
    assert found.why.startswith("not an image in a format we read")
    assert repr(data[:24]) in found.why  # a web page, a pointer of git-lfs and AVIF are known by their beginning


def test_covers_nearly_none_of_which_can_be_used_stop_a_run():
    refused = {7: Refused("missing", "no file")} | dict.fromkeys((2, 3, 4), Refused("unreadable", "cut short"))
    refuse_unusable(refused, 5, 0.8, "item_images", "embedding.image")
    says = (
        r"item_images: 4 of 5 covers cannot be used \(3 unreadable, 1 missing\), e\.g\. of item 2: cut short\. "
        r"Expected at most 79\.0%\..*--params embedding\.image\.most_unusable_covers=1"
    )
    with pytest.raises(MmctrError, match=says):
        refuse_unusable(refused, 5, 0.79, "item_images", "embedding.image")
    refuse_unusable(refused, 4, 1, "item_images", "embedding.image")


def test_a_reason_is_one_line_without_addresses(monkeypatch):
    def fail(*_):
        raise OSError("cannot read <_io.BytesIO object at 0x7f0011223344>\nat all" + "x" * 999)

    monkeypatch.setattr(images, "_square", fail)
    found = decode(jpeg(), SIDE)
    assert found.why.startswith("OSError: cannot read <_io.BytesIO object> at all")
    assert len(found.why) < 250


def test_decoding_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(decoded_batches([(1, bomb(12_000, 8_000)), (2, jpeg())], SIDE, 8, batch_size=4, threads=2))
