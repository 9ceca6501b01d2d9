"""The numbers of the diagnostics: everything is counted by item, level or length, so that size costs little."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import LEVELS as LEVEL_VALUES
from mmctr_kedro.data.clicks import Clicks, own_levels
from mmctr_kedro.data.jagged import distinct, encode_users_lists, positions
from mmctr_kedro.data.processing.data_report import QUANTILES
from mmctr_kedro.evaluation.metrics import auc_of_counts, auc_standard_error_of_counts
from mmctr_kedro.evaluation.slices import HISTORY_EDGES, bucket_name

LEVELS = ("likes_level", "views_level")
# Rows at the mean click rate that every item's and level's own rate is mixed with: one click on one row is no 100 %.
PRIOR_ROWS = 10.0
DIGITS = 6

Found = dict[str, Any]
Counts = tuple[np.ndarray, np.ndarray]  # clicks and other rows of each key, [K] int64


def describe_splits(item_content: pd.DataFrame, splits: dict[str, Clicks]) -> dict[str, Found]:
    """Of each split: size, history lengths by row, and how much of it training or the item table knows."""
    train = splits["train"]
    size = len(item_content) + 1
    as_target = np.bincount(train.item, minlength=size) > 0
    anywhere = as_target | (np.bincount(train.history_items, minlength=size) > 0)
    users = np.unique(train.history_user)
    found = {}
    for name, clicks in splits.items():
        length = clicks.history_length
        quantiles = {of: float(np.quantile(length, at)) if len(length) else None for of, at in QUANTILES.items()}
        buckets = np.searchsorted(HISTORY_EDGES, length, side="right") - 1
        shares = np.bincount(buckets, minlength=len(HISTORY_EDGES)) / max(1, len(length))
        skipped = None
        if clicks.label is not None:
            clicked, others = _counts(clicks.item, clicks.label, size)
            skipped = _share((others > 0)[clicked + others > 0])
        found[name] = {
            "rows": len(clicks),
            "users": len(np.unique(clicks.history_user)),
            "click_share": None if clicks.label is None else _round(clicks.label.mean()),
            "items_shown_without_a_click": skipped,
            "history_length": {**quantiles, "mean": _share(length)},
            "rows_by_history_length": {
                bucket_name(HISTORY_EDGES, number): _round(share) for number, share in enumerate(shares)
            },
            "users_in_train": _share(np.isin(np.unique(clicks.history_user), users)),
            "rows_with_item_in_no_train_row": _share(~as_target[clicks.item]),
            "rows_with_item_nowhere_in_train": _share(~anywhere[clicks.item]),
            "history_clicks_on_items_in_no_train_row": _share(~as_target[clicks.history_items]),
            "history_clicks_on_items_nowhere_in_train": _share(~anywhere[clicks.history_items]),
        }
    return found


def whose_levels(item_content: pd.DataFrame, splits: dict[str, Clicks]) -> Found:
    """Whether a row carries its item's levels, by label, and what that alone tells.

    Without item_feature.parquet an item's levels are those that clicks of every other train user carry; the train rows
    judged are then those of the others.

    Returns:
        ``known_from``; ``own``: per split the share of ``clicks``, ``others`` and ``all`` rows (of items whose levels
        are known) that carry their item's; ``rows_judged`` by split and label; ``one_pair_per_user``: share of the
        users with several rows whose rows all carry one pair; ``worth``: AUC, in train and valid, of ``match`` (own
        levels or not) and of ``match_and_rarity`` (the rarer the matched pair among clicks, the better).
    """
    train = splits["train"]
    label = _labels(train)
    published = bool(item_content[list(LEVELS)].to_numpy().any())
    judged, taught = np.ones(len(train), bool), train
    if not published:
        judged = _halves_of_users(train) == 1
        names = ("history", "item", "likes_level", "views_level", "row_id", "label")
        taught = dataclasses.replace(train, **{name: getattr(train, name)[~judged] for name in names})
    own = own_levels(item_content, taught)
    pair = {name: _pair(clicks.likes_level, clicks.views_level) for name, clicks in splits.items()}
    clicked = np.bincount(pair["train"][label == 1], minlength=LEVEL_VALUES**2)
    rarity = -np.log((clicked + 1) / (clicked.sum() + LEVEL_VALUES**2))
    found: Found = {
        "known_from": "item_feature.parquet" if published else "clicked train rows",
        "own": {},
        "rows_judged": {},
        "one_pair_per_user": {},
        "worth": {"match": {}, "match_and_rarity": {}},
    }
    for name, clicks in splits.items():
        of_item = own[clicks.item]
        match = pair[name] == _pair(*of_item.T)
        rows = of_item.any(axis=1) & (judged if name == "train" else True)
        kinds = {"all": rows}
        if clicks.label is not None:
            kinds |= {"clicks": rows & (clicks.label == 1), "others": rows & (clicks.label == 0)}
            rare = np.where(match, rarity[pair[name]], -1.0)
            for score, values in (("match", match * 1.0), ("match_and_rarity", rare)):
                found["worth"][score][name] = _auc_of_rows(values[rows], clicks.label[rows])
        found["own"][name] = {kind: _share(match[of]) for kind, of in kinds.items()}
        found["rows_judged"][name] = {kind: int(of.sum()) for kind, of in kinds.items()}
        of_history = pd.Series(pair[name]).groupby(clicks.history)
        one_pair = of_history.min() == of_history.max()
        found["one_pair_per_user"][name] = _share(one_pair[of_history.size() > 1])
    return found


def _pair(likes: np.ndarray, views: np.ndarray) -> np.ndarray:
    return likes.astype(np.int64) * LEVEL_VALUES + views


def known_answers(size: int, splits: dict[str, Clicks]) -> Found:
    """What a row's own history, its place, its user and the other splits give away.

    Returns:
        ``target_in_history``: share of ``clicks`` and ``others`` of train and valid whose item is in their own history,
        and its ``auc`` by split. ``row_order``, ``length_by_label``: the AUC of standing early, and of a long history.
        ``clicked_in_train``: of valid, shares and AUC of whether the user clicked the item in train, where the row's
        own history does not say so. ``repeated_rows``: share of the rows of a split that occur in it before (same user,
        history, item and label). ``valid_rows_in_train``: ``share`` of valid's rows whose history and item train has,
        and the ``worth`` in AUC of the label that they have there. ``known_test_rows``: share of test's
        rows whose user, history and item train or valid has.
    """
    names = ("target_in_history", "row_order", "length_by_label", "clicked_in_train", "repeated_rows")
    found: Found = {name: {} for name in names}
    # The same number for the same clicks, whoever's they are.
    lists = [encode_users_lists(0 * of.history_user, of.history_offsets, of.history_items) for of in splits.values()]
    ends = np.cumsum([len(of.history_user) for of in splits.values()])
    same_history = np.split(distinct(lists)[3].astype(np.int64), ends[:-1])
    rows = {
        name: pd.DataFrame({"user": of.user, "history_and_item": history[of.history] * size + of.item})
        for (name, of), history in zip(splits.items(), same_history, strict=True)
    }
    for name in ("train", "valid"):
        clicks = splits[name]
        label, inside = _labels(clicks), _target_in_history(clicks)
        found["target_in_history"][name] = _told(inside, label)
        found["row_order"][name] = _order(clicks)
        found["length_by_label"][name] = _auc_of_rows(clicks.history_length, label)
        found["repeated_rows"][name] = _share(rows[name].assign(label=label).duplicated())
    train, valid = splits["train"], splits["valid"]
    found["clicked_in_train"]["valid"] = _told(_clicked(size, train, valid) & ~inside, label)
    share_of_clicks = pd.Series(_labels(train)).groupby(rows["train"]["history_and_item"].to_numpy()).mean()
    told = share_of_clicks.reindex(rows["valid"]["history_and_item"])
    worth = _auc_of_rows(told.fillna(_labels(train).mean()).to_numpy(), label)
    found["valid_rows_in_train"] = {"share": _share(told.notna()), **worth}
    elsewhere = rows["test"].merge(pd.concat([rows["train"], rows["valid"]]).drop_duplicates())
    found["known_test_rows"] = _round(len(elsewhere) / len(rows["test"])) if len(rows["test"]) else None
    return found


def _told(inside: np.ndarray, label: np.ndarray) -> Found:
    """Of what holds of some rows: its share of ``clicks`` and of ``others``, and its AUC."""
    shares = {kind: _share(inside[label == value]) for kind, value in (("clicks", 1), ("others", 0))}
    return {**shares, **_auc_of_rows(inside * 1.0, label)}


def _order(clicks: Clicks) -> Found:
    """The AUC of standing early, in the file or among the rows of its history, whichever says more."""
    rows, count = np.arange(len(clicks)), np.bincount(clicks.history)
    place = np.empty(len(clicks))  # 0 for the first row of a history, 1 beyond its last
    place[np.argsort(clicks.history, kind="stable")] = rows - np.repeat(np.cumsum(count) - count, count)
    place = (place + 0.5) / count[clicks.history]
    both = [_auc_of_rows(-score, _labels(clicks)) for score in (place, rows)]
    return max(both, key=lambda of: -1 if of["auc"] is None else abs(of["auc"] - 0.5))


def _clicked(size: int, train: Clicks, valid: Clicks) -> np.ndarray:
    """Whether the user of each of valid's rows clicked its item in a train row or a train history: ``[R]`` bool."""
    user = np.repeat(train.history_user, np.diff(train.history_offsets))
    clicked = _labels(train) == 1
    users = np.concatenate([user, train.user[clicked]]).astype(np.int64)
    items = np.concatenate([train.history_items, train.item[clicked]])
    known = np.isin(users, valid.user)  # few, or nobody
    return np.isin(valid.user.astype(np.int64) * size + valid.item, users[known] * size + items[known])


def _target_in_history(clicks: Clicks, rows_at_a_time: int = 500_000) -> np.ndarray:
    """``[R]`` bool."""
    begin, length = clicks.history_offsets[clicks.history], clicks.history_length
    found = []
    for start in range(0, len(clicks), rows_at_a_time):
        rows = slice(start, start + rows_at_a_time)
        owner = np.repeat(np.arange(len(length[rows])), length[rows])
        same = clicks.history_items[positions(begin[rows], length[rows])] == clicks.item[rows][owner]
        found.append(np.bincount(owner[same], minlength=len(length[rows])) > 0)
    return np.concatenate(found) if found else np.empty(0, bool)


def signals(size: int, train: Clicks, valid: Clicks) -> dict[str, Found]:
    """How well things that know nothing of the user tell clicks from other rows, in train and in valid.

    Valid rows are scored by what the whole of train says. Train rows are scored without themselves: click rates
    of one half of the users score the rows of the other half, and the two AUCs are averaged (leaving one row
    out would score a click below a skipped row of the same item). Counts of rows need no such care, as every row
    counts itself once, and histories do not hold their own target.

    Args:
        size: Items and one: ids are below it.
        train, valid: Rows with labels.

    Returns:
        By name, for ``train`` and ``valid``: ``auc``, None with one class only, and ``standard_error``, None with
        fewer than two rows of either.
    """
    half, label = _halves_of_users(train), _labels(train)
    items = _counts(train.item, label, size), _counts(valid.item, _labels(valid), size)
    rows = items[0][0] + items[0][1]
    in_histories = np.bincount(train.history_items, minlength=size)
    found = {
        "item_click_rate": _by_click_rate(train.item, label, half, *items),
        "item_train_rows": _by_score(rows, *items),
        "item_history_clicks": _by_score(in_histories, *items),
    }
    for level in LEVELS:
        keys = getattr(train, level), getattr(valid, level)
        counts = _counts(keys[0], label, LEVEL_VALUES), _counts(keys[1], _labels(valid), LEVEL_VALUES)
        found[level] = _by_score(np.arange(LEVEL_VALUES), *counts)
        found[f"{level}_click_rate"] = _by_click_rate(keys[0], label, half, *counts)
    return found


def _by_score(score: np.ndarray, train: Counts, valid: Counts) -> Found:
    return {"train": _auc(score, *train), "valid": _auc(score, *valid)}


def _by_click_rate(key: np.ndarray, label: np.ndarray, half: np.ndarray, train: Counts, valid: Counts) -> Found:
    """Each key's click rate as a score; ``key``, ``label`` and ``half`` (0 or 1), ``[R]``, are of the train rows."""

    def rate(clicks: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Drawn towards the mean by ``PRIOR_ROWS``; the mean where there are no rows."""
        mean = clicks.sum() / max(1, clicks.sum() + others.sum())
        return (clicks + PRIOR_ROWS * mean) / (clicks + others + PRIOR_ROWS)

    halves = [_counts(key[half == side], label[half == side], len(train[0])) for side in (0, 1)]
    crossed = [_auc(rate(*halves[1 - side]), *halves[side]) for side in (0, 1)]
    aucs, errors = ([of[name] for of in crossed] for name in ("auc", "standard_error"))
    both: Found = {"auc": None, "standard_error": None}
    if None not in aucs:
        error = None if None in errors else _round(math.hypot(*errors) / 2)
        both = {"auc": _round(sum(aucs) / 2), "standard_error": error}
    return {"train": both, "valid": _auc(rate(*train), *valid)}


def how_drawn(size: int, splits: dict[str, Clicks]) -> dict[str, Found]:
    """Whether rows of two splits differ in what they show, as the AUC of telling one split's rows from the other's.

    0.5: drawn alike in this. Popularity is an item's clicks in train's histories, which no label entered.
    Above 0.5 the split named first shows more popular items, or has longer histories.
    """
    train, valid, test = splits["train"], splits["valid"], splits["test"]
    popularity = np.bincount(train.history_items, minlength=size)
    train_clicked, train_other = _counts(train.item, _labels(train), size)
    valid_clicked, valid_other = _counts(valid.item, _labels(valid), size)
    test_rows = np.bincount(test.item, minlength=size)
    longest = max(clicks.history_length.max(initial=0) for clicks in splits.values())
    lengths = {name: np.bincount(clicks.history_length, minlength=longest + 1) for name, clicks in splits.items()}
    return {
        "popularity_of_clicked_items_valid_or_train": _auc(popularity, valid_clicked, train_clicked),
        "popularity_of_other_items_valid_or_train": _auc(popularity, valid_other, train_other),
        "popularity_of_items_test_or_valid": _auc(popularity, test_rows, valid_clicked + valid_other),
        "history_length_valid_or_train": _auc(np.arange(longest + 1), lengths["valid"], lengths["train"]),
        "history_length_test_or_valid": _auc(np.arange(longest + 1), lengths["test"], lengths["valid"]),
    }


def level_click_shares(train: Clicks, valid: Clicks) -> dict[str, list[Found]]:
    """Rows and share of clicks of each level that occurs, in train and valid."""
    found: dict[str, list[Found]] = {name: [] for name in LEVELS}
    for name, level in itertools.product(LEVELS, range(LEVEL_VALUES)):
        entry: Found = {"level": level}
        for split, clicks in (("train", train), ("valid", valid)):
            labels = _labels(clicks)[getattr(clicks, name) == level]
            entry |= {f"{split}_rows": len(labels), f"{split}_click_share": _share(labels)}
        if entry["train_rows"] or entry["valid_rows"]:
            found[name].append(entry)
    return found


def _auc_of_rows(score: np.ndarray, label: np.ndarray) -> Found:
    """``_auc`` of rows that are not counted yet."""
    values, place = np.unique(score, return_inverse=True)
    return _auc(values, *_counts(place, label, len(values)))


def _auc(score: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> Found:
    """AUC and its standard error, rows taken as independent, of counted rows: ``[K]`` each.

    DeLong's error is 0 where few rows happen to be parted wholly; chance alone (Mann and Whitney, 1947) would
    spread the AUC by sqrt((m + n + 1) / 12 m n), so the error is at least that.
    """
    auc, error = auc_of_counts(score, clicks, others), auc_standard_error_of_counts(score, clicks, others)
    m, n = int(clicks.sum()), int(others.sum())
    if not math.isnan(error):
        error = max(error, math.sqrt((m + n + 1) / (12 * m * n)))
    return {"auc": _round(auc), "standard_error": _round(error)}


def _counts(key: np.ndarray, label: np.ndarray, size: int) -> Counts:
    """Clicks and other rows of each key below ``size``."""
    clicks = np.bincount(key[label == 1], minlength=size)
    return clicks, np.bincount(key, minlength=size) - clicks


def _labels(clicks: Clicks) -> np.ndarray:
    assert clicks.label is not None
    return clicks.label


def _halves_of_users(train: Clicks) -> np.ndarray:
    """0 or 1 for every row, the same for all rows of a user: every other user id."""
    _, rank = np.unique(train.history_user, return_inverse=True)
    return (rank % 2).astype(np.int8)[train.history]


def _share(values: np.ndarray | pd.Series) -> float | None:
    return _round(values.mean()) if len(values) else None


def _round(value: float | np.floating) -> float | None:
    """Six decimals, so that summing in another order gives the same bytes; None for NaN."""
    return None if math.isnan(value) else round(float(value), DIGITS)
