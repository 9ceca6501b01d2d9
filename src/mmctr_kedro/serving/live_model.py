"""The model that answers, and how another takes its place while requests come in."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import stamp
from mmctr_kedro.data.clicks import digest
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes
from mmctr_kedro.scoring.scorer import Scorer

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelAndItems:
    """What a ``Scorer`` is made of."""

    model: TrainedModel
    item_tags: np.ndarray
    item_embedding: np.ndarray
    item_levels: np.ndarray


@dataclass(frozen=True)
class Served:
    """A model ready to answer; ``version`` is the SHA-256 of its file."""

    scorer: Scorer
    version: str
    since: datetime


class LiveModel:
    """The model that answers: ``now``. A request takes it once, so that a swap changes nothing under it.

    Args:
        load: Reads model and items.
        files: Where it reads them; when one of these changes it is asked again.

    Raises:
        MmctrError: The first model cannot be used.
    """

    def __init__(self, load: Callable[[], ModelAndItems], files: list[Path]) -> None:
        self._load, self._files = load, files
        self._seen = self._stamps()
        self.now = made_ready(load())

    def refresh(self) -> bool | None:
        """Put a newer model in place if there is one, made ready beside the one that answers meanwhile.

        Returns:
            Whether it could be used; None where there is none. What cannot be used (a run that is not finished, a
            damaged file) is said in the log, and looked at again when a file changes.
        """
        if (stamps := self._stamps()) == self._seen:
            return None
        self._seen = stamps
        try:
            ready = made_ready(self._load())
        except Exception as error:  # whatever it is, there is a model that answers
            LOG.warning("The newer model is not used, %.12s goes on: %s", self.now.version, error)
            return False
        LOG.info("Model %.12s takes the place of %.12s", ready.version, self.now.version)
        self.now = ready
        return True

    def _stamps(self) -> list[tuple[int, ...]]:
        return [stamp(file) for file in self._files]


def made_ready(given: ModelAndItems) -> Served:
    """Build the model and what it makes of the items alone; refuse items that it was not trained with.

    Raises:
        MmctrError: Model and items do not belong together, as while a run is still training.
    """
    tables = {"item_tags": given.item_tags, "item_embedding": given.item_embedding}
    for name, table in tables.items():
        if digest(**{name: table}) != given.model.settings["trained_on"][name]:
            raise MmctrError(
                f"The model was trained on another {name} than the run now holds: a run is not finished, or made the "
                "items alone anew. Train the model on them: kedro update"
            )
    scorer = Scorer(given.model, given.item_tags, given.item_embedding, given.item_levels)
    scorer.score_candidates([], [1])  # now, not at the first request: the items' parts, and torch's own first time
    return Served(scorer, hashlib.sha256(model_bytes(given.model)).hexdigest(), datetime.now(UTC))
