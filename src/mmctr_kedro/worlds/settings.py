"""Settings of the simulated world, its laws, and its random streams."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from mmctr_kedro.common.params import Params

# Of a world, by their place: a new one goes last.
_STREAMS = "items titles tags covers cover_noise user_ids train valid test silent item_info pool levels_shown"
Negatives = Literal["uniform", "popularity", "pool"]


class WorldParams(Params):
    """The simulated world (pipeline ``simulate``). Rows come in fours: one click, three not. See docs/world.md.

    A law is a name for several settings at once; each left out, or null, is the law's own.
    """

    laws: ClassVar[dict[str, dict[str, Any]]] = {
        # As the real data must be drawn, by all that is published about them (docs/world.md).
        "challenge": {
            "train_negatives": "pool",
            "negatives_exponent": 0.75,
            "row_levels": "clicked",
            "likes_noise": 1.5,
            "views_noise": 1.5,
            "levels_shown": 1.0,
            "popularity_spread": 1.5,
            "appeal_exponent": 1.0,
            "theme_interest": 1.0,
            "style_interest": 1.0,
            "new_share": 0.0,
        },
        # Content decides: popularity tells clicks from negatives in train and nothing in valid.
        "taste": {},
        # Train and valid are drawn alike, and popularity carries over.
        "popular": {"eval_negatives": "uniform"},
    }

    law: Literal["challenge", "taste", "popular"] = Field(
        "challenge", description="How clicks, negatives and levels are drawn; sets what is left out below."
    )
    seed: int = Field(20242025, ge=0, description="Of everything that is drawn.")
    user_seed: int | None = Field(None, ge=0, description="Other users and clicks over the same items; None: seed.")
    items: int = Field(1_200, ge=40, description="Items with a title, tags and a cover.")
    train_rows: int = Field(40_000, ge=40, multiple_of=4, description="One click and three others per history.")
    valid_rows: int = Field(5_000, ge=8, multiple_of=4, description="The same, of other users.")
    test_rows: int = Field(5_000, ge=8, description="The last user has fewer rows if this is no multiple of 4.")
    silent_users: int = Field(0, ge=0, description="Users of item_seq without any row.")
    covers: bool = Field(True, description="Whether covers are drawn; without them items have titles alone.")
    cover_size: int = Field(128, ge=32, description="Width and height of a cover in pixels.")
    train_negatives: Negatives = Field(
        "uniform", description="uniform: all items alike; popularity: by it; pool: by it, from a share of the items."
    )
    eval_negatives: Negatives = Field("popularity", description="The same of valid and test.")
    negatives_exponent: float = Field(1.0, ge=0, le=3, description="Of popularity, in negatives drawn by it.")
    pool_share: float = Field(
        1 / 3,
        ge=0.3,
        le=1,
        description="Share of the items, whatever their popularity, that law pool draws from evenly.",
    )
    row_levels: Literal["own", "clicked", "popular"] = Field(
        "own",
        description="Whose levels a row without a click carries: its item's; those of the item that its user clicked; "
        "those of an item drawn by popularity.",
    )
    likes_noise: float = Field(0.4, ge=0, description="Standard deviation of what likes add to log popularity.")
    views_noise: float = Field(0.2, ge=0, description="The same of views.")
    levels_shown: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the items whose title shows their views and whose cover shows their likes; the others "
        "show any level. 0: none is shown.",
    )
    new_share: float = Field(0.02, ge=0, lt=0.5, description="Popularity of the items that train never sees.")
    themes: int = Field(8, ge=2, le=20, description="Latent topics shown only in title words and tags.")
    styles: int = Field(6, ge=2, le=12, description="Latent topics shown only in covers.")
    theme_interest: float = Field(2.5, gt=0, le=20, description="Standard deviation of a user's theme logits.")
    style_interest: float = Field(2.5, gt=0, le=20, description="Standard deviation of a user's style logits.")
    persistence: float = Field(0.98, ge=0, le=1, description="Correlation of interests from click to click.")
    popularity_spread: float = Field(0.8, ge=0, le=5, description="Standard deviation of log popularity over items.")
    appeal_exponent: float = Field(
        1.1,
        gt=0,
        le=3,
        description="Appeal is popularity to this power: above 1, as liked popular items are used up first.",
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_the_rest_to_the_law(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return cls.laws.get(values.get("law", "challenge"), {}) | {k: v for k, v in values.items() if v is not None}


def generator(seed: int, part: str, chunk: int = 0) -> np.random.Generator:
    """The random stream of one part of a world, and of one chunk of it: the same whatever else is drawn."""
    place = _STREAMS.split().index(part)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(place, chunk))))
