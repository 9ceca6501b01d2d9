"""What an encoder is, and the small things all encoders need."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import sha256
from mmctr_kedro.encoders.settings import HubModelParams, ImageEncoderParams, TextEncoderParams

if TYPE_CHECKING:
    import torch


class TextEncoder(Protocol):
    """Texts to vectors."""

    width: int

    def __init__(self, params: TextEncoderParams) -> None: ...

    @classmethod
    def identity(cls, params: TextEncoderParams) -> dict[str, Any]:
        """All that decides a text's vector, but for the machine's rounding; plain JSON, without loading anything."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts, in their order: ``[n, width]`` float32."""
        ...


class ImageEncoder(Protocol):
    """Pixels to vectors, or pixels and text together."""

    reads_text: ClassVar[bool]  # True: the items' texts come with the images
    width: int
    side: int  # pixels; images arrive as squares of this side

    def __init__(self, params: ImageEncoderParams) -> None: ...

    @classmethod
    def identity(cls, params: ImageEncoderParams) -> dict[str, Any]:
        """All that decides an image's vector, but for the machine's rounding; plain JSON, without loading anything."""
        ...

    def encode(self, pixels: np.ndarray, texts: Sequence[str] | None = None) -> np.ndarray:
        """Vectors of ``[n, side, side, 3]`` uint8 RGB images, in their order: ``[n, width]`` float32.

        ``texts`` are n strings, some perhaps empty: what is written of the same items, for an encoder that reads it.
        """
        ...


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, for an encoder's identity."""
    return {package: version(package) for package in packages}


def hub_identity(settings: HubModelParams) -> dict[str, Any]:
    """The model and how it is used, for an encoder's identity; of a folder names and contents, not the path."""
    decisive, folder = settings.model_dump(mode="json", exclude={"device"}), Path(settings.model)
    if folder.is_dir():
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
        decisive["model"] = digest.hexdigest()
    return decisive


def loading_failed(what: str, model: str, error: Exception, setting: str) -> MmctrError:
    """Say which model could not be loaded, why in one line, and which setting names it."""
    lines = str(error).strip().splitlines()
    return MmctrError(
        f"The {what} '{model}' cannot be loaded: {lines[0][:300] if lines else type(error).__name__} Give a folder "
        f"that holds it, or a hub id and its revision: {setting}"
    )


def torch_dtype(precision: str) -> torch.dtype:
    """The number format of a setting's ``precision``."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def threads_or_all(threads: int | None) -> int:
    """The number of threads asked for, or one per core this process may use."""
    if threads is not None:
        return threads
    # The affinity, not cpu_count: in a container the machine has more cores than we may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def quiet_transformers(offline: bool) -> Iterator[None]:
    """Load without bars and advice on the console, and without network; put every switch back afterwards."""
    # The tokenizer warns when the process forks later on unless told whether to keep its own threads.
    before = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM")}
    if offline:
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
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for the length of a block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
