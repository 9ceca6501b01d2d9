"""An encoder taught by pairs, through low-rank adapters: LoRA (Hu et al., 2021, arXiv:2106.09685).

The encoder's own weights stay as they are; beside its linear layers small matrices learn, which at the end are added to
the weights, so that what is saved is a model like any other. The loss is that of ``behaviour_contrastive``, without its
correction for popularity: each pair's other half is picked among the batch's, in both directions, and no content comes
twice in a batch. P pairs.

This module imports torch and peft: import it inside functions.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import PrinterCallback, TrainerCallback

from mmctr_kedro.common.best_epoch import BestEpoch
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.encoders.base import quiet_transformers
from mmctr_kedro.encoders.settings import FinetuneParams

logger = logging.getLogger(__name__)


def tune(
    model: SentenceTransformer,
    content: Callable[[int], Any],
    learnt: np.ndarray,
    watched: np.ndarray,
    settings: FinetuneParams,
    prompt: str = "",
) -> dict[str, Any]:
    """Train adapters until the loss on held-out pairs stops falling, and merge the best ones into ``model``.

    Call it inside ``machine.reproducible``, with the model on its device.

    Args:
        model: Changed in place: afterwards it holds the tuned weights and no adapter.
        content: What the model reads at a place, such as a text or an image; equal ones are at one place.
        learnt: ``[P, 2]`` int64, places: pairs to learn from.
        watched: The same of users who are never learnt from.
        prompt: Put before every text.

    Returns:
        ``held_out_loss_before`` and ``held_out_loss``, ``epochs`` trained and ``best_epoch`` (0: none was better than
        no tuning, and the model is as it was), ``trainable_parameters`` and their share of all.
    """

    def dataset(pairs: np.ndarray) -> datasets.Dataset:
        """Pairs of places, which become contents only when a batch is made of them."""
        places = datasets.Dataset.from_dict({"anchor": pairs[:, 0].tolist(), "positive": pairs[:, 1].tolist()})
        return places.with_transform(
            lambda batch: {name: [content(place) for place in places] for name, places in batch.items()}
        )

    on_cpu = model.device.type == "cpu"
    steps = max(1, min(len(learnt), settings.pairs_per_epoch) // settings.batch_size)  # of an epoch
    with TemporaryDirectory(prefix="finetune_") as folder, quiet_transformers(), _process_kept():
        adapted = _with_adapters(model, settings)
        trainable, total = adapted.get_nb_trainable_parameters()
        best = BestEpoch(model, settings.epochs, settings.patience, "finetune")
        watch = _Watch(best)
        trainer = _Trainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=folder,
                seed=settings.seed,
                use_cpu=on_cpu,
                per_device_train_batch_size=settings.batch_size,
                per_device_eval_batch_size=settings.batch_size,
                batch_sampler=_Batches,
                prompts=prompt or None,
                max_steps=settings.epochs * steps,
                learning_rate=settings.learning_rate,
                warmup_steps=settings.epochs * steps // 10,
                eval_strategy="steps",
                eval_steps=steps,
                logging_strategy="steps",
                logging_steps=steps,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=not on_cpu,
            ),
            train_dataset=dataset(learnt),
            eval_dataset=dataset(watched),
            loss=MultipleNegativesRankingLoss(
                model,
                scale=1 / settings.temperature,
                directions=("query_to_doc", "doc_to_query"),
                partition_mode="per_direction",
            ),
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.evaluate()
        trainer.train()
    best.restore()
    adapted.merge_and_unload()
    model.requires_grad_(True).eval()
    return {
        "held_out_loss_before": round(watch.before, 6),
        "held_out_loss": round(best.loss, 6),
        "epochs": best.epochs,
        "best_epoch": best.best_epoch,
        "trainable_parameters": trainable,
        "trainable_share": round(trainable / total, 6),
    }


def _with_adapters(model: SentenceTransformer, settings: FinetuneParams) -> PeftModel:
    """Freeze the model and put adapters into it, in place; they start as no change at all."""
    network = model.transformers_model
    if network is None:
        raise MmctrError("This encoder holds no transformers model, which is what adapters are made for.")
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules) if settings.target_modules else "all-linear",
    )
    model.requires_grad_(False)
    try:
        return get_peft_model(network, config)
    except ValueError as error:
        linear = {name.split(".")[-1] for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)}
        raise MmctrError(
            f"finetune.target_modules {settings.target_modules} fit no layer of this encoder. "
            f"Its linear layers end in {', '.join(sorted(linear))}."
        ) from error


class _Trainer(SentenceTransformerTrainer):
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: it would read the pairs for a README that nobody keeps."""


class _Batches(NoDuplicatesBatchSampler):
    """Batches without any content twice, told apart by their places: the contents themselves are not looked at.

    What is left at the end of an epoch may be a single pair, which has no negative: it is left out.
    """

    def __init__(self, dataset: datasets.Dataset, **rest: Any) -> None:
        super().__init__(dataset.with_format(None), **rest)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch for batch in super().__iter__() if len(batch) > 1)


class _Watch(TrainerCallback):
    """Hands every evaluation's loss on; the first comes before any training."""

    def __init__(self, best: BestEpoch) -> None:
        self._best = best
        self._train_loss: float | None = None
        self.before = float("nan")

    def on_log(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        self._train_loss = said["logs"].get("loss", self._train_loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        loss = said["metrics"].get("eval_loss", float("nan"))
        if self._train_loss is not None:
            self._best.add(self._train_loss, loss)
            control.should_training_stop |= self._best.is_over
        elif np.isfinite(loss):
            self.before = self._best.loss = loss
            logger.info("finetune: loss on held-out users %.4f before tuning", loss)
        else:
            raise MmctrError(f"The loss on pairs of held-out users is {loss} before any tuning.")


@contextmanager
def _process_kept() -> Iterator[None]:
    """Put Python's and NumPy's random states back, which the trainer seeds, and keep its old habits unmentioned."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
