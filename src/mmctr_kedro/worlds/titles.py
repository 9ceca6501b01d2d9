"""Titles and tags: words that show an item's theme and its views, some of the time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmctr_kedro.data.challenge import TAG_WIDTH
from mmctr_kedro.worlds import lexicon
from mmctr_kedro.worlds.settings import generator

EMPTY_TITLE_SHARE = 0.06
# Where a title word and a tag come from: the item's own theme, another theme, or no theme.
TITLE_SOURCES = (0.85, 0.05, 0.10)
TAG_SOURCES = (0.50, 0.10, 0.40)
TAG_COUNTS = (0.12, 0.22, 0.26, 0.20, 0.12, 0.08)  # share of items with 0, 1, ... 5 tags


class Texts(NamedTuple):
    """What is written about N items, in item order."""

    titles: list[str]
    tags: list[np.ndarray]  # int64 tag ids 1.., each once, at most TAG_WIDTH; often none
    tag_words: list[str]  # the word of tag id i + 1
    documents: list[str]  # title and tag words of every item in one string, for text vectors


def write_texts(theme: np.ndarray, views: np.ndarray, seed: int) -> Texts:
    """Write titles and tags for items of these themes, whose titles show these views: ``[N]``, 1..10, 0 = nothing."""
    count = len(theme)
    rng = generator(seed, "titles")
    template = rng.integers(len(lexicon.TEMPLATES), size=count)
    empty = rng.random(count) < EMPTY_TITLE_SHARE
    empty_title = rng.integers(len(lexicon.EMPTY_TITLES), size=count)
    decoration = rng.integers(len(lexicon.DECORATIONS), size=count)
    slots = _draw_words(theme, (lexicon.THEME_WORDS, lexicon.GENERIC_WORDS), TITLE_SOURCES, 3, rng)
    titles = []
    for i in range(count):
        body = lexicon.EMPTY_TITLES[empty_title[i]] if empty[i] else lexicon.TEMPLATES[template[i]].format(*slots[i])
        fame = f" {lexicon.FAME[views[i] - 1]}" if views[i] else ""
        titles.append(body + fame + lexicon.DECORATIONS[decoration[i]])
    # A word may serve two themes; ids tell nothing about themes.
    themes = lexicon.THEME_TAGS[: int(theme.max()) + 1]
    tag_words = sorted({word for tags in [*themes, lexicon.GENERIC_TAGS] for word in tags})
    ids = {word: position + 1 for position, word in enumerate(tag_words)}
    rng = generator(seed, "tags")
    counts = rng.choice(len(TAG_COUNTS), size=count, p=TAG_COUNTS)
    drawn = _draw_words(theme, (lexicon.THEME_TAGS, lexicon.GENERIC_TAGS), TAG_SOURCES, TAG_WIDTH, rng)
    tags = [
        np.array([ids[word] for word in dict.fromkeys(row[:most])], dtype=np.int64)
        for row, most in zip(drawn.tolist(), counts, strict=True)
    ]
    documents = [
        " ".join([title, *(tag_words[tag - 1] for tag in row)]) for title, row in zip(titles, tags, strict=True)
    ]
    return Texts(titles, tags, tag_words, documents)


def _draw_words(
    theme: np.ndarray,
    vocabulary: tuple[list[list[str]], list[str]],
    sources: tuple[float, float, float],
    width: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """``width`` words per item from its own theme, another theme or none: ``[N, width]`` strings."""
    of_theme, generic = vocabulary
    shape = (len(theme), width)
    source = rng.choice(3, size=shape, p=sources)
    shown = np.where(source == 1, rng.integers(int(theme.max()) + 1, size=shape), theme[:, None])
    row = np.where(source == 2, len(of_theme), shown)  # the generic words stand behind the themes
    table = [*of_theme, generic]
    lengths = np.array([len(entry) for entry in table])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    flat = np.array([word for entry in table for word in entry])
    return flat[starts[row] + (rng.random(shape) * lengths[row]).astype(np.int64)]
