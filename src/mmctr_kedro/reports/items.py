"""Items as a reader sees them: title, tags and a small picture of the cover. Titles are strangers' text, and cut."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd

from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decoded_batches

SIDE = 96  # pixels of a thumbnail
QUALITY = 80  # of its JPEG: some 3 kB
LETTERS = 70  # shown of a title or a tag
NO_COVER = {"missing": "no cover", "unreadable": "cover cannot be read", "tiny": "cover too small"}
NOT_READ = "cover in an archive"


def pictures(covers: Covers, items: np.ndarray) -> dict[int, dict[str, str]]:
    """By item id, its cover squeezed into a square, as encoders see it.

    ``cover`` is base64 of a JPEG, or empty, and then ``gap`` says why. The covers are read once, and those of an
    archive that can only be read from its start, which may take minutes, not at all.
    """
    if not covers.anywhere:
        return {item: {"cover": "", "gap": NOT_READ} for item in items.tolist()}
    batches = decoded_batches(covers.read(items), SIDE, 1, batch_size=64, threads=1)
    return {item: _picture(found) for batch in batches for item, found in batch}


def titles(item_content: pd.DataFrame) -> pd.Series:
    """The title of every item on one line, or the item's number where there is none; by item id."""
    title = item_content.set_index("item_id")["title"].fillna("").str.split().str.join(" ")
    return title.where(title != "", "item " + title.index.astype(str))


def cut(text: str) -> str:
    """On one line, of ``LETTERS`` characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= LETTERS else line[: LETTERS - 1].rstrip() + "…"


def _picture(found: np.ndarray | Refused) -> dict[str, str]:
    if isinstance(found, Refused):
        return {"cover": "", "gap": NO_COVER[found.kind]}
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(found).save(file, "JPEG", quality=QUALITY)
    return {"cover": base64.b64encode(file.getvalue()).decode()}
