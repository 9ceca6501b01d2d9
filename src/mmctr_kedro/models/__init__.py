"""CTR models: building the one that settings name, and what a trained one is. Light to import: torch comes later.

A model is a ``layers.CtrModel``: it maps a ``Batch`` to logits ``[B]``, and may say what loss it trains by and which
of its parameters ``embedding_regularizer`` covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams

if TYPE_CHECKING:
    from mmctr_kedro.models.layers import CtrModel


@dataclass(frozen=True)
class TrainedModel:
    """What ``{task}.ctr_model`` holds: the weights and the settings that made them.

    ``settings`` is JSON: ``ctr`` (``CtrParams``), ``fixed`` (True for Task 1's fixed model), the table sizes
    it was built for (``items``, ``tags``, ``embedding_width``), ``best_epoch``, ``best_step``, ``trained_on``
    (SHA-256 of the data it saw) and ``trained_with`` (libraries, machine, threads). The given embedding and tags
    are not part of the weights.
    """

    settings: dict[str, Any]
    weights: dict[str, np.ndarray]


def model_settings(trained: TrainedModel) -> CtrParams | FixedCtrParams:
    """The settings a model was trained with, as its task has them in conf/."""
    ctr = CtrParams(**trained.settings["ctr"])
    if not trained.settings["fixed"]:
        return ctr
    fixed = ctr.model_dump(include=set(FixedCtrParams.model_fields))
    return FixedCtrParams(net_dropout=ctr.model.net_dropout, **fixed)


def build_model(
    params: CtrParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int | None = None
) -> CtrModel:
    """The model that ``params.model`` names, freshly initialised from torch's global random state.

    Args:
        params: ``model`` is an instance of one of ``ModelParams``, which names the model's file and class.
        item_tags: ``[N+1, 5]`` int, 0 = no tag, row 0 zeros.
        item_embedding: ``[N+1, D]`` float32, row 0 zeros.
        tags: Size of the tag vocabulary, 0 included; by default the largest tag + 1.

    Raises:
        MmctrError: Tables of different lengths, or an embedding that is not finite.
    """
    if len(item_tags) != len(item_embedding):
        raise MmctrError(
            f"item_tags has {len(item_tags)} rows, the item embedding has {len(item_embedding)}: each needs "
            "one row per item and a row 0. Rebuild both from the same items: "
            "kedro run --pipeline data_processing, then --pipeline embedding."
        )
    if not np.isfinite(item_embedding).all():
        row = int(np.flatnonzero(~np.isfinite(item_embedding).all(axis=1))[0])
        raise MmctrError(f"The item embedding of item {row} is not finite. Rebuild it: kedro run --pipeline embedding")
    module = import_module(f"mmctr_kedro.models.{params.model.name}")
    model_class = getattr(module, type(params.model).__name__.removesuffix("Params"))
    return model_class(params.model, item_tags, item_embedding, tags or int(item_tags.max()) + 1)


def restore_model(trained: TrainedModel, item_tags: np.ndarray, item_embedding: np.ndarray) -> CtrModel:
    """A trained model with its weights, on the tables it is to predict with, which must fit it.

    Args:
        trained: As ``train`` or ``load_model`` gives it.
        item_tags: ``[N+1, 5]`` int, no tag above the largest it was trained with.
        item_embedding: ``[N+1, D]`` float32, of the N and D it was trained with.

    Raises:
        MmctrError: Tables of other sizes.
    """
    import torch

    sizes = trained.settings
    given = {"items": len(item_embedding), "embedding_width": item_embedding.shape[1]}
    if differences := [
        f"{name.replace('_', ' ')} {sizes[name]}, item_embedding has {value}"
        for name, value in given.items()
        if sizes[name] != value
    ]:
        raise MmctrError(
            f"The CTR model was trained with {'; with '.join(differences)}. Train it again on this "
            "embedding, e.g. kedro run --pipeline task2, or restore the embedding it was trained on."
        )
    if (largest := int(item_tags.max())) >= sizes["tags"]:
        raise MmctrError(
            f"The CTR model was trained with tags 0..{sizes['tags'] - 1}, item_tags has tag {largest}. "
            "Train it again: the tag table has no row for it."
        )
    model = build_model(CtrParams(**sizes["ctr"]), item_tags, item_embedding, sizes["tags"])
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in trained.weights.items()})
    return model
