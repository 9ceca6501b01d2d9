"""What every tower that learns from clicks keeps to."""

import dataclasses

import numpy as np
import pytest

from mmctr_kedro.fusion import fuse
from mmctr_kedro.fusion.settings import EmbeddingParams

CONTROLS = {"hidden": 32, "learning_rate": 5e-3, "threads": 1, "device": "cpu"}
TOWERS = {
    "behaviour_contrastive": {**CONTROLS, "batch_size": 64, "epochs": 8},
    "sequence": {**CONTROLS, "state": 16, "batch_size": 8, "epochs": 30, "patience": 5},
}


def params(tower: str, **settings) -> EmbeddingParams:
    return EmbeddingParams(variant=tower, width=8, **{tower: {**TOWERS[tower], **settings}})


@pytest.mark.parametrize("tower", TOWERS)
def test_it_brings_together_what_users_click_together_more_than_content_alone_does(tower, inputs):
    def apart(vectors):
        """Mean cosine within a kind less that between kinds."""
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosine, kind = unit @ unit.T, np.arange(len(unit)) % 2
        same = kind[:, None] == kind[None, :]
        return cosine[same & ~np.eye(len(unit), dtype=bool)].mean() - cosine[~same].mean()

    content = fuse(EmbeddingParams(width=8), inputs).vectors
    assert apart(fuse(params(tower), inputs).vectors) > apart(content) + 0.1


@pytest.mark.parametrize("tower", TOWERS)
def test_an_item_nobody_clicked_lies_with_its_like(tower, inputs):
    """Item 60 gets the content of item 2 and loses all its clicks: content decides."""
    train = inputs.train
    kept = np.where(train.history_items == 60, 2, train.history_items).astype(np.int32)
    item = np.where(train.item == 60, 2, train.item).astype(np.int32)
    text, image = inputs.text.copy(), inputs.image.copy()
    text[59], image[59] = text[1], image[1]
    cold = dataclasses.replace(
        inputs, text=text, image=image, train=dataclasses.replace(train, history_items=kept, item=item)
    )
    vectors = fuse(params(tower, epochs=1), cold).vectors
    np.testing.assert_allclose(vectors[59], vectors[1], atol=1e-5)
