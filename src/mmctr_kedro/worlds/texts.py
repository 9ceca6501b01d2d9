"""Titles and tags: words that show an item's theme and its views, some of the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.data.challenge import TAG_WIDTH
from mmctr_kedro.worlds import words
from mmctr_kedro.worlds.randomness import generator

EMPTY_TITLE_SHARE = 0.06
# Where a title word and a tag come from: the item's own theme, another theme, or no theme.
TITLE_SOURCES = (0.85, 0.05, 0.10)
TAG_SOURCES = (0.50, 0.10, 0.40)
TAG_COUNTS = (0.12, 0.22, 0.26, 0.20, 0.12, 0.08)  # share of items with 0, 1, ... 5 tags


@dataclass(frozen=True)
class Texts:
    """What is written about N items, in item order."""

    titles: list[str]
    tags: list[np.ndarray]  # int64 tag ids 1.., each once, at most TAG_WIDTH; often none
    tag_words: list[str]  # the word of tag id i + 1

    def documents(self) -> list[str]:
        """Title and tag words of every item in one string, for text vectors."""
        return [
            " ".join([title, *(self.tag_words[tag - 1] for tag in tags)])
            for title, tags in zip(self.titles, self.tags, strict=True)
        ]


def write_texts(theme: np.ndarray, views: np.ndarray, seed: int) -> Texts:
    """Write titles and tags for items of these themes, whose titles show these views: ``[N]``, 1..10, 0 = nothing."""
    themes = int(theme.max()) + 1
    tag_words = [word for tags in words.THEME_TAGS[:themes] for word in tags] + words.GENERIC_TAGS
    tag_words = sorted(set(tag_words))  # a word may serve two themes; ids tell nothing about themes
    return Texts(
        _titles(theme, views, generator(seed, "titles")), _tags(theme, tag_words, generator(seed, "tags")), tag_words
    )


def _titles(theme: np.ndarray, views: np.ndarray, rng: np.random.Generator) -> list[str]:
    count = len(theme)
    template = rng.integers(len(words.TEMPLATES), size=count)
    empty = rng.random(count) < EMPTY_TITLE_SHARE
    empty_title = rng.integers(len(words.EMPTY_TITLES), size=count)
    decoration = rng.integers(len(words.DECORATIONS), size=count)
    slots = _draw_words(theme, (words.THEME_WORDS, words.GENERIC_WORDS), TITLE_SOURCES, 3, rng)
    bodies = [
        words.EMPTY_TITLES[empty_title[i]] if empty[i] else words.TEMPLATES[template[i]].format(*slots[i])
        for i in range(count)
    ]
    fame = [f" {words.FAME[level - 1]}" if level else "" for level in views]
    return [body + fame[i] + words.DECORATIONS[decoration[i]] for i, body in enumerate(bodies)]


def _tags(theme: np.ndarray, tag_words: list[str], rng: np.random.Generator) -> list[np.ndarray]:
    ids = {word: position + 1 for position, word in enumerate(tag_words)}
    counts = rng.choice(len(TAG_COUNTS), size=len(theme), p=TAG_COUNTS)
    drawn = _draw_words(theme, (words.THEME_TAGS, words.GENERIC_TAGS), TAG_SOURCES, TAG_WIDTH, rng)
    return [
        np.array([ids[word] for word in dict.fromkeys(row[:count])], dtype=np.int64)
        for row, count in zip(drawn.tolist(), counts, strict=True)
    ]


def _draw_words(
    theme: np.ndarray,
    lexicon: tuple[list[list[str]], list[str]],
    sources: tuple[float, float, float],
    width: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """``width`` words per item from its own theme, another theme or none: ``[N, width]`` strings."""
    of_theme, generic = lexicon
    shape = (len(theme), width)
    source = rng.choice(3, size=shape, p=sources)
    shown = np.where(source == 1, rng.integers(int(theme.max()) + 1, size=shape), theme[:, None])
    row = np.where(source == 2, len(of_theme), shown)  # the generic words stand behind the themes
    table = [*of_theme, generic]
    lengths = np.array([len(entry) for entry in table])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    flat = np.array([word for entry in table for word in entry])
    return flat[starts[row] + (rng.random(shape) * lengths[row]).astype(np.int64)]
