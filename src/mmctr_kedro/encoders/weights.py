"""What a folder with somebody's model may hold before anything of it is loaded.

Weights are safetensors, which are numbers and nothing else; a pickle is a program. Code that comes with a model runs
only where ``trust_remote_code`` asks for it. Of a hub model the libraries themselves refuse both, told so by the same
settings: ``use_safetensors=True`` and ``trust_remote_code=False``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import HubModelParams

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".keras", ".msgpack")
_LARGEST_CONFIG = 1 << 20  # bytes; they have some thousands
_CONVERT = (
    "python -c \"import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in torch.load('"
    "pytorch_model.bin', weights_only=True).items()}, 'model.safetensors', metadata={'format': 'pt'})\""
)


def refuse_unsafe(settings: HubModelParams, setting: str) -> None:
    """Look through a model's folder; a hub id is left to the libraries.

    Args:
        setting: The setting that names the model, for the message.

    Raises:
        MmctrError: Its weights are pickles, or it names code of its own and ``trust_remote_code`` is off.
    """
    folder = Path(settings.model)
    if not folder.is_dir():
        return
    for place in [folder, *(path for path in folder.iterdir() if path.is_dir() and path.name[:1].isdigit())]:
        suffixes = {path.suffix.lower() for path in place.iterdir()}
        if ".safetensors" not in suffixes and (found := suffixes.intersection(_PICKLES)):
            raise MmctrError(
                f"'{place}' holds weights as {', '.join(sorted(found))} only, which may run any program when loaded: "
                f"only safetensors are. Convert them there, if you trust them: {_CONVERT} or choose another model for "
                f"{setting}"
            )
    if not settings.trust_remote_code and (code := sorted(set(_foreign_code(folder)))):
        raise MmctrError(
            f"'{settings.model}' names code that its publishers wrote: {', '.join(code[:5])}. It is not run. Choose "
            f"another model for {setting}, or read that code, and if you trust it set trust_remote_code: true beside "
            "the model's name."
        )


def _foreign_code(folder: Path) -> Iterator[str]:
    """Classes that the configuration names and the installed libraries do not have, each with its file."""
    for path in sorted([*folder.rglob("*config.json"), *folder.rglob("modules.json")]):
        name = path.relative_to(folder).as_posix()
        if path.stat().st_size > _LARGEST_CONFIG:
            raise MmctrError(f"{path}: {path.stat().st_size:,} bytes, expected a configuration of some kilobytes")
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise MmctrError(f"{path} is no JSON ({' '.join(str(error).split())[:100]}): fetch it again") from error
        for key, value in _pairs(content):
            if key == "auto_map":
                yield f"auto_map ({name})"
            # sentence-transformers' own modules; of other files a "type" is something else.
            if path.name in ("modules.json", "router_config.json") and key in ("type", "types"):
                classes = value.values() if isinstance(value, dict) else [value]
                yield from (f"{c} ({name})" for c in classes if not str(c).startswith("sentence_transformers."))


def _pairs(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON tree with its value."""
    for value in content if isinstance(content, list) else []:
        yield from _pairs(value)
    for key, value in content.items() if isinstance(content, dict) else []:
        yield key, value
        yield from _pairs(value)
