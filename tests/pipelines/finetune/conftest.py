"""Sixty items of two kinds, told apart by the letters of their titles and the colour of their covers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmctr_kedro.data.clicks import Clicks

ITEMS = 60
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LAYERS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def clicks_of(histories: list[list[int]]) -> Clicks:
    """Histories by user (1, 2, ...), and no rows."""
    rows = {"history": np.int32, "item": np.int32, "likes_level": np.int8, "views_level": np.int8, "row_id": np.int64}
    return Clicks(
        history_user=np.arange(1, len(histories) + 1, dtype=np.int32),
        history_offsets=np.cumsum([0, *map(len, histories)]),
        history_items=np.array([item for items in histories for item in items], dtype=np.int32),
        label=np.empty(0, np.int8),
        **{name: np.empty(0, dtype) for name, dtype in rows.items()},
    )


class Posters:
    """The covers store: reddish items and bluish ones, each a little different; item 1 has none."""

    item_ids = np.arange(2, ITEMS + 1)

    def read(self, item_ids):
        for item in item_ids.tolist():
            yield item, self._cover(item) if item > 1 else None

    @staticmethod
    def _cover(item: int) -> bytes:
        pixels = np.random.default_rng(item).integers(0, 120, (28, 28, 3), dtype=np.uint8)
        pixels[:, :, 2 * (item % 2)] += 100
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()


class World(NamedTuple):
    """What the node takes beside its settings."""

    item_content: pd.DataFrame
    covers: Posters
    clicks_train: Clicks


@pytest.fixture
def clicks():
    return clicks_of


@pytest.fixture(scope="session")
def world() -> World:
    """Titles of the first half of the alphabet, or of the second; users who click one kind alone."""
    rng = np.random.default_rng(1)
    ids = np.arange(1, ITEMS + 1, dtype=np.int32)
    titles = [" ".join(rng.choice(list(LETTERS[:13] if item % 2 else LETTERS[13:]), 5)) for item in ids]
    histories = [(2 * rng.integers(0, ITEMS // 2, 8) + 1 + user % 2).tolist() for user in range(120)]
    content = pd.DataFrame({"item_id": ids, "title": titles, "tag_words": [[]] * ITEMS})
    return World(content, Posters(), clicks_of(histories))


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """Folders of a tiny BERT and a tiny DINOv2 of random weights, as transformers saves them."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast, BitImageProcessorPil, Dinov2Config, Dinov2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("models")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    (root / "vocab.txt").write_text("\n".join(words))
    bert = BertConfig(vocab_size=len(words), max_position_embeddings=64, intermediate_size=32, **LAYERS)
    BertModel(bert).save_pretrained(root / "bert")
    BertTokenizerFast(vocab=str(root / "vocab.txt")).save_pretrained(root / "bert")
    Dinov2Model(Dinov2Config(image_size=28, patch_size=14, **LAYERS)).save_pretrained(root / "dinov2")
    side = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    BitImageProcessorPil(**side).save_pretrained(root / "dinov2")
    logging.enable_progress_bar()
    return {name: root / name for name in ("bert", "dinov2")}
