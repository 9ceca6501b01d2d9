"""Users with drifting interests, their clicks and negatives, and the exact chance that a row is a click.

A click at step t follows p(item) proportional to appeal * exp(theme interest + style interest) over the
items that the user has not clicked yet. Interest depends on the item's (theme, style) cell alone, so the law
is sampled and normalised over cells, not items. U users, T themes, S styles, W history width, N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.worlds.items import LEVELS, Items
from mmctr_kedro.worlds.settings import WorldParams

LOG_LENGTH = (1.2, 1.0)  # history length = 3 + floor(lognormal): quartiles 4/6/9, mean 8 as in the challenge
SHORTEST, LONGEST = 3, 64
CLICK_SHARE = 0.25
ROWS_PER_USER = 4


class Market:
    """The items on offer, sorted by (theme, style) cell, with everything that sampling needs."""

    def __init__(self, items: Items, offered: np.ndarray, params: WorldParams, negatives: str) -> None:
        """``offered`` is ``[N]`` bool: which items these users can meet; ``negatives`` is the law of what is
        skipped."""
        shape = (params.themes, params.styles)
        cells = shape[0] * shape[1]
        self.theme, self.style, self.levels = items.theme, items.style, items.levels
        self.row_levels = params.row_levels
        self.popularity = np.where(offered, items.popularity, 0.0)
        self.appeal = np.where(offered, items.appeal, 0.0)
        self.offered = np.flatnonzero(offered)
        weight = {
            "uniform": np.ones(len(items)),
            "popularity": items.popularity**params.negatives_exponent,
            "pool": items.in_pool.astype(float),
        }[negatives]
        self.negative = np.where(offered, weight, 0.0)  # [N], what a negative is drawn in proportion to
        self.cumulated_negative = np.cumsum(self.negative)
        cell = items.theme * shape[1] + items.style
        self.by_cell = self.offered[np.argsort(cell[self.offered], kind="stable")]
        self.cumulated = np.concatenate([[0.0], np.cumsum(self.appeal[self.by_cell])])
        self.cell_start = np.searchsorted(cell[self.by_cell], np.arange(cells + 1))
        self.mass = np.diff(self.cumulated[self.cell_start]).reshape(shape)  # [T, S]
        place = (self.levels * cells + cell)[self.offered]
        mass_by_levels = np.bincount(place, weights=self.appeal[self.offered], minlength=LEVELS**2 * cells)
        self.mass_by_levels = mass_by_levels.reshape(LEVELS**2, *shape)  # appeal of each pair of levels, by cell
        popular = np.bincount(self.levels, weights=self.popularity, minlength=LEVELS**2)
        self.popularity_by_levels = popular / popular.sum()


@dataclass(frozen=True)
class Interests:
    """exp(logit) of every user's interest at one step: theme ``[U, T]``, style ``[U, S]``."""

    theme: np.ndarray
    style: np.ndarray

    def take(self, users: np.ndarray) -> Interests:
        return Interests(self.theme[users], self.style[users])

    def of(self, theme: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Affinity to items of these themes and styles; both ``[U, n]`` or broadcastable."""
        users = np.arange(len(self.theme))[:, None]
        return self.theme[users, theme] * self.style[users, style]


@dataclass(frozen=True)
class Users:
    """U users: clicks in order, and their interests at the moment of the last one, the target."""

    history: np.ndarray  # [U, W] int32 item positions, oldest first, -1 after the end
    click: np.ndarray  # [U] int64 item position, never in the history
    interests: Interests


def draw_users(market: Market, count: int, params: WorldParams, rng: np.random.Generator) -> Users:
    """Walk ``count`` users through their clicks: an AR(1) step of interests, then one click, and again."""
    longest = min(LONGEST, len(market.offered) // 4)
    length = np.minimum(SHORTEST + np.floor(rng.lognormal(*LOG_LENGTH, count)).astype(np.int64), longest)
    by_length = np.argsort(-length, kind="stable")  # users still clicking are always the first ones
    steps = length[by_length]
    history = np.full((count, longest), -1, dtype=np.int32)
    click = np.zeros(count, dtype=np.int64)
    logits = rng.normal(size=(count, sum(market.mass.shape)))
    scale = np.repeat([params.theme_interest, params.style_interest], market.mass.shape)
    fresh = np.sqrt(1 - params.persistence**2)
    for step in range(longest + 1):
        active = int(np.searchsorted(-steps, -step, side="right"))
        if step:
            noise = rng.normal(size=(active, logits.shape[1]))
            logits[:active] = params.persistence * logits[:active] + fresh * noise
        interests = _interests(logits[:active] * scale, market.mass.shape[0])
        item = draw_clicks(market, interests, history[:active, :step], rng)
        still = int(np.searchsorted(-steps[:active], -step, side="left"))  # these click on after this step
        if still:
            history[:still, step] = item[:still]
        click[still:active] = item[still:]
    back = np.argsort(by_length)
    last = _interests(logits * scale, market.mass.shape[0])
    return Users(history[back], click[back], last.take(back))


def _interests(logits: np.ndarray, themes: int) -> Interests:
    return Interests(np.exp(logits[:, :themes]), np.exp(logits[:, themes:]))


def draw_clicks(
    market: Market, interests: Interests, history: np.ndarray, rng: np.random.Generator, tries: int = 50
) -> np.ndarray:
    """One click per user outside the history ``[U, any]``: ``[U]`` item positions.

    Draws inside the history are thrown away and drawn again, which is exactly the law renormalised over the
    other items. Users who have used up nearly all they like get theirs from the law written out in full.
    """
    click = np.empty(len(history), dtype=np.int64)
    pending = np.arange(len(history))
    for _ in range(tries):
        click[pending] = _draw_from_cells(market, interests.take(pending), rng)
        pending = pending[(history[pending] == click[pending, None]).any(axis=1)]
        if not len(pending):
            return click
    for user in np.array_split(pending, -(-len(pending) // 64)):
        affinity = interests.take(user).of(market.theme[None], market.style[None])
        weight = affinity * market.appeal  # [u, N]
        rows, columns = np.nonzero(history[user] >= 0)
        weight[rows, history[user][rows, columns]] = 0.0
        click[user] = _draw_column(weight, rng)
    return click


def _draw_from_cells(market: Market, interests: Interests, rng: np.random.Generator) -> np.ndarray:
    """Theme, then style given the theme, then an item of the cell by appeal."""
    theme = _draw_column(interests.theme * (interests.style @ market.mass.T), rng)
    style = _draw_column(interests.style * market.mass[theme], rng)
    cell = theme * market.mass.shape[1] + style
    first, end = market.cell_start[cell], market.cell_start[cell + 1]
    low, high = market.cumulated[first], market.cumulated[end]
    place = np.searchsorted(market.cumulated, low + (high - low) * rng.random(len(cell)), side="right") - 1
    return market.by_cell[np.clip(place, first, end - 1)]


def _draw_column(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One column per row, with chance proportional to its weight."""
    cumulated = np.cumsum(weight, axis=1)
    return np.argmax(cumulated > cumulated[:, -1:] * rng.random((len(weight), 1)), axis=1)


def draw_negatives(market: Market, history: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three items per user, independently by the market's law over offered items outside the history: ``[U, 3]``."""
    shape = (len(history), ROWS_PER_USER - 1)
    negative = np.empty(shape, dtype=np.int64)
    users, places = (index.ravel() for index in np.indices(shape))
    total = market.cumulated_negative
    while len(users):
        drawn = np.searchsorted(total, total[-1] * rng.random(len(users)), side="right")
        negative[users, places] = drawn
        again = (history[users] == drawn[:, None]).any(axis=1)
        users, places = users[again], places[again]
    return negative


def draw_row_levels(market: Market, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Both levels, as one number, that the rows ``item`` ``[U, n]`` carry; column 0 is the click, with its own."""
    levels = market.levels[item]
    if market.row_levels == "clicked":
        levels[:, 1:] = levels[:, :1]
    elif market.row_levels == "popular":
        levels[:, 1:] = rng.choice(LEVELS**2, size=levels[:, 1:].shape, p=market.popularity_by_levels)
    return levels


def posterior(market: Market, users: Users, item: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """The exact law by which the rows ``item`` with ``levels``, both ``[U, n]``, were drawn.

    With click law p, negatives' law p_neg and levels' law P, a row is a click with chance q p(item) against
    (1 - q) p_neg(item) P(levels), and none at all where the levels are not the item's own. All laws are renormalised
    over the offered items outside the history. What the other rows of the same user would tell is not counted.

    Returns:
        P(click) ``[U, n]`` float64 by the truth's columns: ``posterior`` for who knows the interests, the item, all
        items' popularity and levels, and the levels that the row carries; ``posterior_without_taste`` the same but the
        interests; ``posterior_without_levels`` the same but the row's levels.
    """
    seen = users.history >= 0
    past = np.where(seen, users.history, 0)
    past_weight = np.where(seen, market.appeal[past] * users.interests.of(market.theme[past], market.style[past]), 0.0)
    mass = ((users.interests.theme @ market.mass) * users.interests.style).sum(axis=1)
    rest = (mass - past_weight.sum(axis=1))[:, None]
    taste = market.appeal[item] * users.interests.of(market.theme[item], market.style[item]) / rest
    past_appeal = np.where(seen, market.appeal[past], 0.0)
    appeal_left = (market.mass.sum() - past_appeal.sum(axis=1))[:, None]
    no_taste = market.appeal[item] / appeal_left
    past_negative = np.where(seen, market.negative[past], 0.0).sum(axis=1)
    negative = market.negative[item] / (market.cumulated_negative[-1] - past_negative)[:, None]
    possible = levels == market.levels[item]
    if market.row_levels == "own":
        by_taste = by_appeal = np.ones(item.shape)
    elif market.row_levels == "popular":
        by_taste = by_appeal = market.popularity_by_levels[levels]
    else:
        cells = market.mass_by_levels[levels]  # [U, n, T, S]
        interest = np.einsum("ut,us->uts", users.interests.theme, users.interests.style)
        same = (market.levels[past][:, None] == levels[..., None]) & seen[:, None]  # [U, n, W]
        by_taste = np.einsum("unts,uts->un", cells, interest) - np.einsum("unw,uw->un", same, past_weight)
        by_appeal = cells.sum(axis=(2, 3)) - np.einsum("unw,uw->un", same, past_appeal)
        by_taste, by_appeal = by_taste / rest, by_appeal / appeal_left
    return {
        "posterior": np.where(possible, _click_chance(taste, negative * by_taste), 0.0),
        "posterior_without_taste": np.where(possible, _click_chance(no_taste, negative * by_appeal), 0.0),
        "posterior_without_levels": _click_chance(taste, negative),
    }


def _click_chance(click: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bayes' rule; ``click`` and ``other`` are what a click and a row without one would show this with."""
    return CLICK_SHARE * click / (CLICK_SHARE * click + (1 - CLICK_SHARE) * other)
