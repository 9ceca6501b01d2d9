"""Pipelines: each a folder with its wiring and its thin nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any


class bound(partial):
    """A node's function with keywords bound. ``partial``, but with the function's name, in other processes too.

    multiprocessing takes a ``partial`` apart to send it, and forgets what it was called; a subclass it leaves alone.
    """

    def __new__(cls, function: Callable[..., Any], **keywords: Any) -> bound:
        made = super().__new__(cls, function, **keywords)
        update_wrapper(made, function)
        return made
