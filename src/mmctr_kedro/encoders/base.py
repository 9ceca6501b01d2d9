"""What an encoder is, and the small things all encoders need."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import sha256
from mmctr_kedro.encoders.settings import HubModelParams

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # setting ``precision`` in transformers' words


class Encoder(Protocol):
    """What every encoder has."""

    width: int  # of a vector

    def __init__(self, params: Any) -> None: ...

    @classmethod
    def identity(cls, params: Any) -> dict[str, Any]:
        """All that decides a vector, but for the machine's rounding; plain JSON, without loading anything."""
        ...


class TextEncoder(Encoder, Protocol):
    """Texts to vectors; made of ``TextEncoderParams``."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts, in their order: ``[n, width]`` float32."""
        ...


class ImageEncoder(Encoder, Protocol):
    """Pixels to vectors, or pixels and text together; made of ``ImageEncoderParams``."""

    reads_text: ClassVar[bool]  # True: the items' texts come with the images
    side: int  # pixels; images arrive as squares of this side

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


def threads_or_all(threads: int | None) -> int:
    """The number of threads asked for, or one per core this process may use."""
    if threads is not None:
        return threads
    # The affinity, not cpu_count: in a container the machine has more cores than we may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let the library show no bars and give no advice on the console for the length of a block."""
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


@contextmanager
def loading(what: str, model: str, setting: str) -> Iterator[None]:
    """Load a model quietly; where it cannot be loaded, say in one line why, and which setting names it.

    Raises:
        MmctrError: Whatever was raised in the block: on a damaged model the libraries raise nearly anything.
    """
    with quiet_transformers():
        try:
            yield
        except Exception as error:
            lines = str(error).strip().splitlines()
            raise MmctrError(
                f"The {what} '{model}' cannot be loaded: {lines[0][:300] if lines else type(error).__name__} Give a "
                f"folder that holds it, or a hub id and its revision: {setting}"
            ) from error


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """So many threads for the length of a block; None: one per core."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads_or_all(count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
