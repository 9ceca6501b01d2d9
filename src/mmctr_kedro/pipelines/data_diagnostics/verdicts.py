"""What the numbers of the diagnostics mean, in plain sentences with stated thresholds."""

from __future__ import annotations

from typing import Any

# An AUC says something if it lies this far from 0.5 and further than noise reaches; two differ likewise.
THRESHOLDS = {"auc_difference": 0.03, "standard_errors": 3.0}

Found = dict[str, Any]  # auc, standard_error
Verdict = dict[str, Any]

WHOLE = "train_and_valid"
LENGTHS = {("valid", "train"): "history_length", ("test", "valid"): "test_history_length"}
SIGNALS = {
    "item_click_rate": "An item's click rate in train",
    "item_history_clicks": "Popularity (clicks in train's histories)",
    "likes_level_click_rate": "The click rate of a likes level in train",
    "views_level_click_rate": "The click rate of a views level in train",
}


def verdicts(found: dict[str, Any]) -> list[Verdict]:
    """Each verdict: ``about`` what, ``alike`` (None: not the question) and what it ``says``; the sum comes first."""
    splits, drawn = found["splits"], found["drawn"]
    single = [
        *(_about_signal(name, **found["signals"][name], drawn=drawn) for name in SIGNALS),
        _about_lengths(splits, drawn, "valid", "train"),
        _about_lengths(splits, drawn, "test", "valid"),
        _about_test(drawn["popularity_of_items_test_or_valid"]),
        _about_unseen(splits),
        _about_levels(splits),
    ]
    return [_in_sum(single), *single]


def tells(of: Found) -> bool:
    """Whether an AUC says something, by ``THRESHOLDS``."""
    return of["auc"] is not None and _beyond(of["auc"] - 0.5, of["standard_error"])


def differ(one: Found, other: Found) -> bool:
    """Whether two AUCs of different rows differ, by ``THRESHOLDS``."""
    errors = [of["standard_error"] for of in (one, other)]
    error = None if None in errors else sum(error**2 for error in errors) ** 0.5
    return _beyond(one["auc"] - other["auc"], error)


def _beyond(difference: float, error: float | None) -> bool:
    if error is None:  # too few rows to know the noise
        return False
    return abs(difference) >= max(THRESHOLDS["auc_difference"], THRESHOLDS["standard_errors"] * error)


def _in_sum(single: list[Verdict]) -> Verdict:
    """Of train and valid alone: what is about test does not count."""
    asked = [verdict for verdict in single if verdict["about"] in (*SIGNALS, LENGTHS["valid", "train"])]
    if any(verdict["alike"] is False for verdict in asked):
        says = "Train and valid are drawn differently: choose models and epochs by valid AUC, never by train loss."
        return _verdict(WHOLE, False, says)
    if any(verdict["alike"] is None for verdict in asked):
        return _verdict(WHOLE, None, "Whether train and valid are drawn alike cannot be told: a class is missing.")
    return _verdict(WHOLE, True, "Train and valid differ in nothing looked at here by more than noise.")


def _about_signal(name: str, train: Found, valid: Found, drawn: dict[str, Found]) -> Verdict:
    what = SIGNALS[name]
    if train["auc"] is None or valid["auc"] is None:
        return _verdict(name, None, f"{what} cannot be judged: train or valid has rows of one class only.")
    both = f"train ({_auc(train)}) and valid ({_auc(valid)})"
    if not differ(train, valid):
        says = f"separates {both} about alike" if tells(train) or tells(valid) else f"says next to nothing about {both}"
        return _verdict(name, True, f"{what} {says}.")
    if tells(train) and not tells(valid):
        says = f"separates train ({_auc(train)}) and says {_little(valid)} about valid ({_auc(valid)})"
    elif tells(valid) and not tells(train):
        says = f"separates valid ({_auc(valid)}) and says {_little(train)} about train ({_auc(train)})"
    elif (train["auc"] - 0.5) * (valid["auc"] - 0.5) < 0:
        says = f"separates {both} in opposite directions"
    else:
        says = f"separates {both}, but not equally"
    return _verdict(name, False, f"{what} {says}{_because(name, train, valid, drawn)}.")


def _because(name: str, train: Found, valid: Found, drawn: dict[str, Found]) -> str:
    """What follows for item ids, and which rows are drawn otherwise in popularity; else nothing."""
    if name == "item_click_rate" and train["auc"] > max(0.5, valid["auc"]):
        return ": item ids learnt by heart carry over badly"
    if name != "item_history_clicks":
        return ""
    kinds = {
        "rows without a click": drawn["popularity_of_other_items_valid_or_train"],
        "clicks": drawn["popularity_of_clicked_items_valid_or_train"],
    }
    changed = [
        f"valid's {kind} are on {'more' if of['auc'] > 0.5 else 'less'} popular items than train's ({_apart(of)})"
        for kind, of in kinds.items()
        if tells(of)
    ]
    if len(changed) == 1:
        kept = "clicks" if "without" in changed[0] else "rows without a click"
        changed.append(f"its {kept} on equally popular ones")
    return f": {', '.join(changed)}" if changed else ""


def _little(of: Found) -> str:
    """Within noise, or beyond it but below what counts."""
    return "nothing" if abs(of["auc"] - 0.5) <= THRESHOLDS["standard_errors"] * of["standard_error"] else "little"


def _about_lengths(splits: dict[str, Any], drawn: dict[str, Found], first: str, second: str) -> Verdict:
    of = drawn[f"history_length_{first}_or_{second}"]
    medians = " and ".join(_number(splits[split]["history_length"]["median"]) for split in (first, second))
    longer = "longer" if (of["auc"] or 0.5) > 0.5 else "shorter"
    than = f"{longer} in {first} than in {second}" if tells(of) else f"as long in {first} as in {second}"
    return _verdict(LENGTHS[first, second], not tells(of), f"Histories are {than} (medians {medians}; {_apart(of)}).")


def _about_test(of: Found) -> Verdict:
    if not tells(of):
        says = f"Test rows show items as popular as valid rows do ({_apart(of)})."
        return _verdict("test_items", True, says)
    more = "more" if of["auc"] > 0.5 else "less"
    says = f"Test rows show {more} popular items than valid rows ({_apart(of)}): valid AUC may mislead."
    return _verdict("test_items", False, says)


def _about_unseen(splits: dict[str, Any]) -> Verdict:
    users, rows = (
        " and ".join(f"{_percent(splits[split][key])} of {split}" for split in ("valid", "test"))
        for key in ("users_in_train", "rows_with_item_in_no_train_row")
    )
    return _verdict("unseen", None, f"Train knows {users} users; {rows} rows show an item that no train row has.")


def _about_levels(splits: dict[str, Any]) -> Verdict:
    shares = {split: of["rows_with_levels_of_their_item"] for split, of in splits.items()}
    if all(share in (None, 1.0) for share in shares.values()):
        return _verdict("levels", None, "Every row has the likes and views levels of its item in item_feature.")
    says = ", ".join(f"{_percent(share)} of {split} rows" for split, share in shares.items())
    return _verdict("levels", None, f"Likes and views levels are those of the item in item_feature in {says}.")


def _verdict(about: str, alike: bool | None, says: str) -> Verdict:
    return {"about": about, "alike": alike, "says": says}


def _apart(of: Found) -> str:
    """For an AUC of telling one split's rows from the other's."""
    return f"told apart with {_auc(of)}"


def _auc(of: Found) -> str:
    if of["auc"] is None:
        return "no AUC"
    error = of["standard_error"]
    return f"AUC {of['auc']:.3f}" + (f" ± {error:.3f}" if error is not None and error >= 0.0005 else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _percent(share: float | None) -> str:
    """Shares that are neither all nor none never look so."""
    if share is None:
        return "–"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return "under 0.1%" if share < 0.001 else "over 99.9%" if share > 0.999 else f"{share:.1%}"
