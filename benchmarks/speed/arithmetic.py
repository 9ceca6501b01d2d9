"""The arithmetic that the fixed DIN really needs, counted by hand from its split form (models/din.py)."""

from __future__ import annotations

from itertools import pairwise

CONTENT, WIDTH = 128, 256  # the given embedding's projection; D, an item's vector
HIDDEN = (512, 256)  # H and G of the attention
DNN = (640, 1024, 512, 256, 1)


def din_flops(rows: float, positions: float, items: float, training: bool = True) -> float:
    """Floating-point operations of one batch's matrix products, a multiply-add counted as two.

    Per distinct item: the projection and the key part, ``128 * 128 + 256 * 512`` multiply-adds. Per row: the
    query part ``256 * 512`` and the DNN. Per position: the product part ``256 * 512``, the second layer
    ``512 * 256``, the score ``256``, the pooling ``256``. Backward takes twice the forward pass, for the
    gradients of inputs and of weights, except that the given embedding needs none.
    """
    hidden, narrow = HIDDEN
    per_item = CONTENT * CONTENT + WIDTH * hidden
    per_row = WIDTH * hidden + sum(before * after for before, after in pairwise(DNN))
    per_position = WIDTH * hidden + hidden * narrow + narrow + WIDTH
    forward = items * per_item + rows * per_row + positions * per_position
    return 2 * (3 * forward - items * CONTENT * CONTENT if training else forward)
