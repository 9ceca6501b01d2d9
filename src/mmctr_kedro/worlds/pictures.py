"""Cover pictures: palette, pattern and texture that show an item's style, most of the time, and a bar for its likes.

A cover is a function of the plane, so the same cover can be drawn at any size: ``draw`` at 32 pixels is a
small version of ``draw`` at 128, but for the grain. All arrays are over n items of S by S pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmctr_kedro.worlds.settings import generator

BAR = 1 / 8  # height of the bar along the foot, in picture widths
OFF_STYLE_SHARE = 0.06  # covers whose pattern or colours are those of another style
# Per style: hue of ground and of pattern (turns), saturation, brightness, strength of grain. The pattern is
# the style's place in _PATTERNS.
_PALETTES = np.array(
    [
        (0.02, 0.12, 0.80, 0.85, 0.02),
        (0.60, 0.52, 0.70, 0.60, 0.02),
        (0.33, 0.22, 0.60, 0.70, 0.10),
        (0.00, 0.50, 0.05, 0.80, 0.02),
        (0.85, 0.92, 0.55, 0.95, 0.02),
        (0.75, 0.60, 0.75, 0.35, 0.06),
        (0.14, 0.08, 0.45, 0.90, 0.16),
        (0.48, 0.40, 0.50, 0.90, 0.02),
        (0.08, 0.04, 0.55, 0.40, 0.12),
        (0.55, 0.95, 0.80, 0.95, 0.02),
        (0.10, 0.65, 0.10, 0.30, 0.10),
        (0.28, 0.80, 0.65, 0.75, 0.04),
    ]
)


class CoverTraits(NamedTuple):
    """How each of N covers is drawn, one number per item and trait."""

    pattern: np.ndarray  # int64, index into _PATTERNS
    hue: np.ndarray  # [N, 2] turns: ground, pattern
    saturation: np.ndarray
    brightness: np.ndarray
    grain: np.ndarray
    scale: np.ndarray  # about 1
    angle: np.ndarray  # radians, near 0
    shift: np.ndarray  # [N, 2] in picture widths
    subject: np.ndarray  # [N, 4]: centre x, y, radius in picture widths, hue; tells nothing
    likes: np.ndarray  # 1..10: tenths of a bar that are white, the rest black; 0: no bar


def draw_traits(style: np.ndarray, likes: np.ndarray, seed: int) -> CoverTraits:
    """Choose the traits of the covers of items of these styles, which show these likes: ``[N]``, 1..10, 0 = nothing."""
    rng = generator(seed, "covers")
    count, styles = len(style), int(style.max()) + 1
    off = rng.random((2, count)) < OFF_STYLE_SHARE
    other = rng.integers(styles, size=(2, count))
    pattern, palette = np.where(off, other, style)
    colours = _PALETTES[palette]
    return CoverTraits(
        pattern=pattern,
        hue=colours[:, :2] + rng.normal(0, 0.025, (count, 2)),
        saturation=np.clip(colours[:, 2] + rng.normal(0, 0.06, count), 0, 1),
        brightness=np.clip(colours[:, 3] + rng.normal(0, 0.06, count), 0.15, 1),
        grain=np.abs(colours[:, 4] + rng.normal(0, 0.02, count)),
        scale=np.exp(rng.normal(0, 0.08, count)),
        angle=rng.normal(0, 0.08, count),
        shift=rng.random((count, 2)),
        subject=rng.uniform([0.25, 0.25, 0.08, 0], [0.75, 0.75, 0.2, 1], (count, 4)),
        likes=likes,
    )


def draw(traits: CoverTraits, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n covers: ``[n, size, size, 3]`` uint8 RGB."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x, y = (grid[None] * _column(traits.scale) for grid in np.meshgrid(axis, axis))
    cos, sin = _column(np.cos(traits.angle)), _column(np.sin(traits.angle))
    u = cos * x - sin * y + _column(traits.shift[:, 0])
    v = sin * x + cos * y + _column(traits.shift[:, 1])
    shade = np.empty(u.shape, dtype=np.float32)  # 0 = ground, 1 = pattern
    for number in np.unique(traits.pattern):
        chosen = traits.pattern == number
        shade[chosen] = _PATTERNS[number](u[chosen], v[chosen])
    ground = _rgb(traits.hue[:, 0], traits.saturation, traits.brightness)
    figure = _rgb(traits.hue[:, 1], traits.saturation, 0.55 * traits.brightness)
    picture = ground[:, None, None] + shade[..., None] * (figure - ground)[:, None, None]
    # A disc of any colour over each picture, as covers show a person or thing of any kind.
    centre_x, centre_y, radius, hue = traits.subject.T.astype(np.float32)
    distance = (axis[None, None] + 0.5 - _column(centre_x)) ** 2 + (axis[None, :, None] + 0.5 - _column(centre_y)) ** 2
    inside = (distance < _column(radius) ** 2)[..., None]
    colour = _rgb(hue, np.full(len(hue), 0.5), np.full(len(hue), 0.7))
    np.copyto(picture, np.broadcast_to(colour[:, None, None], picture.shape), where=inside)
    if traits.likes.any():
        white = (axis + 0.5 < _column(traits.likes)[..., 0] / 10).astype(np.float32)  # [n, size]
        picture[:, axis + 0.5 > 1 - BAR] = white[:, None, :, None]
    picture += rng.standard_normal(u.shape, dtype=np.float32)[..., None] * traits.grain[:, None, None, None]
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def _rgb(hue: np.ndarray, saturation: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """HSV to RGB, all in 0..1 (hue in turns): ``[n, 3]`` float32."""
    wheel = np.abs((hue[:, None] + np.array([1, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1
    return (brightness[:, None] * (1 - saturation[:, None] * (1 - np.clip(wheel, 0, 1)))).astype(np.float32)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]


def _wave(turns: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(2 * np.pi * turns)


def _step(wave: np.ndarray) -> np.ndarray:
    return (wave > 0.5).astype(np.float32)


def _cell_distance(u: np.ndarray, v: np.ndarray, cells: int) -> np.ndarray:
    """Distance to the middle of the grid cell, 0..0.7 cell widths."""
    return np.hypot(u * cells % 1 - 0.5, v * cells % 1 - 0.5)


_PATTERNS = (
    lambda u, v: _step(_wave(4 * u)),  # broad upright stripes
    lambda u, v: _wave(2 * np.hypot(u - 0.5, v - 0.5)),  # soft rings
    lambda u, v: (_cell_distance(u, v, 5) < 0.3).astype(np.float32),  # dots
    lambda u, v: _step(_wave(3 * u)) * _step(_wave(3 * v)),  # squares
    lambda u, v: np.clip(v - 0.25, 0, 1),  # one smooth gradient
    lambda u, v: _step(_wave(6 * (u + v))),  # slanted stripes
    lambda u, v: _wave(1.5 * u) * _wave(1.5 * v),  # clouds
    lambda u, v: _step(_wave(5 * v + 0.6 * np.sin(12 * u))),  # waves lying flat
    lambda u, v: np.abs(_step(_wave(4 * u)) - _step(_wave(4 * v))),  # checkerboard
    lambda u, v: _step(_wave(8 / (2 * np.pi) * np.arctan2(v - 0.5, u - 0.5))),  # rays
    lambda u, v: np.maximum(_wave(7 * u) ** 8, _wave(7 * v) ** 8),  # thin grid
    lambda u, v: (np.abs(_cell_distance(u, v, 3) - 0.3) < 0.08).astype(np.float32),  # hoops
)
