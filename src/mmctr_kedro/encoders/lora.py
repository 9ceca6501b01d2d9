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
from collections.abc import Iterator, Sequence
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

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import FinetuneParams
from mmctr_kedro.encoders.base import quiet_transformers

logger = logging.getLogger(__name__)


def tune(
    model: SentenceTransformer,
    contents: Sequence[Any],
    learnt: np.ndarray,
    watched: np.ndarray,
    settings: FinetuneParams,
    prompt: str = "",
) -> dict[str, Any]:
    """Train adapters until the loss on held-out pairs stops falling, and merge the best ones into ``model``.

    Call it inside ``training.machine.reproducible``, with the model on its device.

    Args:
        model: Changed in place: afterwards it holds the tuned weights and no adapter.
        contents: What the model reads, such as texts or images; equal ones are in one place.
        learnt: ``[P, 2]`` int64, places in ``contents``: pairs to learn from.
        watched: The same of users who are never learnt from.
        prompt: Put before every text.

    Returns:
        ``held_out_loss_before`` and ``held_out_loss``, ``epochs`` trained and ``best_epoch`` (0: none was better than
        no tuning, and the model is as it was), ``trainable_parameters`` and their share of all.
    """
    with TemporaryDirectory(prefix="finetune_") as folder, quiet_transformers(offline=True), _process_kept():
        adapted = _with_adapters(model, settings)
        trainable, total = adapted.get_nb_trainable_parameters()
        watch = _Watch(model, settings)
        trainer = _Trainer(
            model=model,
            args=_arguments(folder, model.device, len(learnt), settings, prompt),
            train_dataset=_dataset(learnt, contents),
            eval_dataset=_dataset(watched, contents),
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
    watch.restore()
    adapted.merge_and_unload()
    model.requires_grad_(True).eval()
    return {
        "held_out_loss_before": round(watch.before, 6),
        "held_out_loss": round(watch.best, 6),
        "epochs": watch.epoch,
        "best_epoch": watch.best_epoch,
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


def _arguments(
    folder: str, device: torch.device, pairs: int, settings: FinetuneParams, prompt: str
) -> SentenceTransformerTrainingArguments:
    """The trainer's arguments: one evaluation an epoch, nothing printed, nothing written."""
    steps = max(1, min(pairs, settings.pairs_per_epoch) // settings.batch_size)
    return SentenceTransformerTrainingArguments(
        output_dir=folder,
        seed=settings.seed,
        use_cpu=device.type == "cpu",
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
        dataloader_pin_memory=device.type != "cpu",
    )


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
    """Logs every evaluation, keeps the best adapters in memory, and stops when nothing is gained any more."""

    def __init__(self, model: SentenceTransformer, settings: FinetuneParams) -> None:
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._best = [parameter.detach().clone() for parameter in self._trained]
        self._settings = settings
        self._loss: float | None = None
        self.before = self.best = float("nan")
        self.epoch = self.best_epoch = 0

    def on_log(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        self._loss = said["logs"].get("loss", self._loss)

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        loss, settings = said["metrics"].get("eval_loss", float("nan")), self._settings
        if self._loss is None:  # the evaluation before any training
            if not np.isfinite(loss):
                raise MmctrError(f"The loss on pairs of held-out users is {loss} before any tuning.")
            self.before = self.best = loss
            logger.info("finetune: loss on held-out users %.4f before tuning", loss)
            return
        self.epoch += 1
        if not np.isfinite(loss):
            raise MmctrError(
                f"finetune: the loss on held-out users became {loss} in epoch {self.epoch}. Lower "
                f"finetune.learning_rate={settings.learning_rate:g} or raise temperature={settings.temperature:g}."
            )
        if loss < self.best:
            self.best, self.best_epoch = loss, self.epoch
            self._best = [parameter.detach().clone() for parameter in self._trained]
        idle = self.epoch - self.best_epoch
        control.should_training_stop |= idle >= settings.patience
        logger.info(
            "finetune epoch %d/%d: loss %.4f, on held-out users %.4f%s",
            self.epoch,
            settings.epochs,
            self._loss,
            loss,
            f"; no gain, {idle} of {settings.patience} before stopping" if idle else "",
        )

    def restore(self) -> None:
        """Put the best adapters back."""
        with torch.no_grad():
            for parameter, best in zip(self._trained, self._best, strict=True):
                parameter.copy_(best)


def _dataset(pairs: np.ndarray, contents: Sequence[Any]) -> datasets.Dataset:
    """Pairs of places, which become contents only when a batch is made of them."""
    places = datasets.Dataset.from_dict({"anchor": pairs[:, 0].tolist(), "positive": pairs[:, 1].tolist()})
    return places.with_transform(
        lambda batch: {name: [contents[place] for place in column] for name, column in batch.items()}
    )


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
