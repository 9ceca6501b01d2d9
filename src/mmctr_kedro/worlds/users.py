"""Users with drifting interests, their clicks and negatives, and the exact chance that a row is a click.

A click at step t follows p(item) proportional to appeal * exp(theme interest + style interest) over the
items that the user has not clicked yet. Interest depends on the item's (theme, style) cell alone, so the law
is sampled and normalised over cells, not items. U users, T themes, S styles, W history width, N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.params import WorldParams
from mmctr_kedro.worlds.items import Items

LOG_LENGTH = (1.2, 1.0)  # history length = 3 + floor(lognormal): quartiles 4/6/9, mean 8 as in the challenge
SHORTEST, LONGEST = 3, 64
CLICK_SHARE = 0.25
ROWS_PER_USER = 4


class Market:
    """The items on offer, sorted by (theme, style) cell, with everything that sampling needs."""

    def __init__(self, items: Items, offered: np.ndarray, shape: tuple[int, int]) -> None:
        """``offered`` is ``[N]`` bool: which items these users can meet; ``shape`` is (T, S)."""
        cells = shape[0] * shape[1]
        self.theme, self.style = items.theme, items.style
        self.popularity = np.where(offered, items.popularity, 0.0)
        self.appeal = np.where(offered, items.appeal, 0.0)
        self.offered = np.flatnonzero(offered)
        cell = items.theme * shape[1] + items.style
        self.by_cell = self.offered[np.argsort(cell[self.offered], kind="stable")]
        self.cumulated = np.concatenate([[0.0], np.cumsum(self.appeal[self.by_cell])])
        self.cumulated_popularity = np.concatenate([[0.0], np.cumsum(self.popularity[self.by_cell])])
        self.cell_start = np.searchsorted(cell[self.by_cell], np.arange(cells + 1))
        self.mass = np.diff(self.cumulated[self.cell_start]).reshape(shape)  # [T, S]


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
    length: np.ndarray  # [U] int64
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
    return Users(history[back], length, click[back], last.take(back))


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


def draw_negatives(market: Market, history: np.ndarray, law: str, rng: np.random.Generator) -> np.ndarray:
    """Three items per user, independently by ``law`` over offered items outside the history: ``[U, 3]``."""
    shape = (len(history), ROWS_PER_USER - 1)
    negative = np.empty(shape, dtype=np.int64)
    users, places = (index.ravel() for index in np.indices(shape))
    while len(users):
        if law == "uniform":
            drawn = market.offered[rng.integers(len(market.offered), size=len(users))]
        else:
            drawn = _draw_by_popularity(market, len(users), rng)
        negative[users, places] = drawn
        again = (history[users] == drawn[:, None]).any(axis=1)
        users, places = users[again], places[again]
    return negative


def _draw_by_popularity(market: Market, count: int, rng: np.random.Generator) -> np.ndarray:
    total = market.cumulated_popularity
    place = np.searchsorted(total, total[-1] * rng.random(count), side="right") - 1
    return market.by_cell[np.minimum(place, len(market.by_cell) - 1)]


def posterior(market: Market, users: Users, item: np.ndarray, law: str) -> np.ndarray:
    """P(click | user, item) of rows ``item`` ``[U, n]``: ``[U, n]`` float64.

    Both laws are renormalised over the offered items outside the history; a quarter of the rows are clicks.
    """
    seen = users.history >= 0
    past = np.where(seen, users.history, 0)
    past_weight = market.appeal[past] * users.interests.of(market.theme[past], market.style[past])
    mass = ((users.interests.theme @ market.mass) * users.interests.style).sum(axis=1)
    rest = mass - np.where(seen, past_weight, 0.0).sum(axis=1)
    affinity = users.interests.of(market.theme[item], market.style[item])
    p_click = market.appeal[item] * affinity / rest[:, None]
    if law == "uniform":
        p_negative = 1.0 / (len(market.offered) - users.length[:, None])
    else:
        past_popularity = np.where(seen, market.popularity[past], 0.0).sum(axis=1)
        p_negative = market.popularity[item] / (market.cumulated_popularity[-1] - past_popularity)[:, None]
    return CLICK_SHARE * p_click / (CLICK_SHARE * p_click + (1 - CLICK_SHARE) * p_negative)
