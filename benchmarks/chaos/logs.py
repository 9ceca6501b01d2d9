"""A small interaction log to import: 60 users, 40 items, covers for half of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_log(folder: Path) -> None:
    """Write ``interactions.csv``, ``items.csv`` and ``item_images/`` in the names the defaults have."""
    from PIL import Image

    from mmctr_kedro.common.params import InteractionLogParams

    params = InteractionLogParams()
    rng = np.random.default_rng(0)
    (folder / "item_images").mkdir(parents=True)
    rows = [
        f"{user},{item},{1000 * user + turn}"
        for user in range(60)
        for turn, item in enumerate(rng.permutation(40)[:20])
    ]
    (folder / params.log.file).write_text("\n".join(["user,item,timestamp", *rows]) + "\n")
    items = [f"{item},Title {item},tag{item % 4}|tag{item % 3}" for item in range(40)]
    (folder / params.items.file).write_text("\n".join(["item,title,tags", *items]) + "\n")
    for item in range(20):
        picture = rng.integers(0, 255, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "item_images" / f"{item}.jpg")
