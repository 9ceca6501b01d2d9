"""What the numbers of the diagnostics mean, in plain sentences with stated thresholds."""

from __future__ import annotations

from typing import Any

from mmctr_kedro.common.words import percent

# An AUC says something if it lies this far from 0.5 and further than noise reaches; two differ likewise. Of what honest
# logs have a little of (busy users click less often), only ``alone`` from 0.5 on is too much to be honest.
THRESHOLDS = {"auc_difference": 0.03, "share_difference": 0.03, "standard_errors": 3.0, "alone": 0.25}

Found = dict[str, Any]  # auc, standard_error
Verdict = tuple[
    bool | None, str
]  # whether splits are alike in something, None where that is not the question; in words

WHOLE = "train_and_valid"
SIGNALS = {
    "item_click_rate": "An item's click rate in train",
    "item_history_clicks": "Popularity (clicks in train's histories)",
    "likes_level_click_rate": "The click rate of a likes level in train",
    "views_level_click_rate": "The click rate of a views level in train",
}
# What no model should know, and what to do where it tells clicks from other rows.
ALONE = {
    "row_order": (
        "where a row stands (in the file, or among the rows of its history)",
        "shuffle the rows, and number test's anew: their IDs tell as much",
    ),
    "length_by_label": (
        "how long a row's history is",
        "give clicks and other rows of one time the same history",
    ),
    "clicked_in_train": (
        "whether the user clicked the item in train (and the row's own history does not say so)",
        "split by time, so that no history of train is later than a row of valid",
    ),
}


def verdicts(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each verdict: ``about`` what, ``alike`` (None: not the question) and what it ``says``.

    What leaks comes before all, then the sum of what is said of train and valid.
    """
    splits, drawn = found["splits"], found["drawn"]
    answers, leak = found["known_answers"], found["leak"]
    leaking: dict[str, Verdict] = {
        "levels": _about_levels(found["whose_levels"], leak["levels"]),
        "target_in_history": _about_target_in_history(answers["target_in_history"], leak["target_in_history"]),
        **{name: _about_alone(name, answers[name], leak[name]) for name in ALONE},
        "repeats": _about_repeats(answers, leak),
        "item_alone": _about_item_alone(found["signals"]),
    }
    single = {name: _about_signal(name, **found["signals"][name], drawn=drawn, splits=splits) for name in SIGNALS}
    single["history_length"] = _about_lengths("valid", "train", drawn, splits)
    asked = [alike for alike, _ in single.values()]  # of train and valid alone: what is about test does not count
    whole: Verdict = True, "Train and valid differ in nothing looked at here by more than noise."
    if False in asked:
        says = "Train and valid are drawn differently: choose models and epochs by valid AUC, never by train loss."
        whole = False, says
    elif None in asked:
        whole = None, "Whether train and valid are drawn alike cannot be told: a class is missing."
    single["test_history_length"] = _about_lengths("test", "valid", drawn, splits)
    of = drawn["popularity_of_items_test_or_valid"]
    apart, more = f"(told apart with {_auc(of)})", "more" if (of["auc"] or 0.5) > 0.5 else "less"
    says = f"Test rows show items as popular as valid rows do {apart}."
    if tells(of):
        says = f"Test rows show {more} popular items than valid rows {apart}: valid AUC may mislead."
    single["test_items"] = not tells(of), says
    users, rows = (
        " and ".join(f"{percent(splits[split][key])} of {split}" for split in ("valid", "test"))
        for key in ("users_in_train", "rows_with_item_in_no_train_row")
    )
    single["unseen"] = None, f"Train knows {users} users; {rows} rows show an item that no train row has."
    every = {WHOLE: whole, **single, **leaking}
    said = [{"about": about, "alike": alike, "says": says} for about, (alike, says) in every.items()]
    return sorted(said, key=lambda verdict: verdict["about"] not in leaking or verdict["alike"] is not False)


def leaks(found: dict[str, Any]) -> dict[str, bool]:
    """By name, whether a row gives its label away by it, beyond ``THRESHOLDS``."""
    answers, whose = found["known_answers"], found["whose_levels"]
    by_label = False  # whether clicks carry their item's levels more or less often than other rows of their split do
    for split in ("train", "valid"):
        own, rows = whose["own"][split], whose["rows_judged"][split]
        if own.get("clicks") is None or own.get("others") is None:
            continue
        error = sum(own[kind] * (1 - own[kind]) / rows[kind] for kind in ("clicks", "others")) ** 0.5
        least = max(THRESHOLDS["share_difference"], THRESHOLDS["standard_errors"] * error)
        by_label |= abs(own["clicks"] - own["others"]) >= least
    return {
        "levels": by_label,
        "target_in_history": any(tells(of) for of in answers["target_in_history"].values()),
        "row_order": any(tells(of, THRESHOLDS["alone"]) for of in answers["row_order"].values()),
        "length_by_label": any(tells(of, THRESHOLDS["alone"]) for of in answers["length_by_label"].values()),
        "clicked_in_train": tells(answers["clicked_in_train"]["valid"]),
        "valid_rows_in_train": tells(answers["valid_rows_in_train"]),
        "known_test_rows": (answers["known_test_rows"] or 0) >= THRESHOLDS["share_difference"],
    }


def tells(of: Found, least: float = THRESHOLDS["auc_difference"]) -> bool:
    """Whether an AUC says something, by ``THRESHOLDS``."""
    return differ(of, {"auc": 0.5, "standard_error": 0.0}, least)


def differ(one: Found, other: Found, least: float = THRESHOLDS["auc_difference"]) -> bool:
    """Whether two AUCs of different rows differ, by ``THRESHOLDS``; not where the noise is unknown: too few rows."""
    errors = [of["standard_error"] for of in (one, other)]
    if None in errors:
        return False
    noise = THRESHOLDS["standard_errors"] * sum(error**2 for error in errors) ** 0.5
    return abs(one["auc"] - other["auc"]) >= max(least, noise)


def _about_lengths(first: str, second: str, drawn: dict[str, Found], splits: dict[str, Any]) -> Verdict:
    of = drawn[f"history_length_{first}_or_{second}"]
    medians = [splits[split]["history_length"]["median"] for split in (first, second)]
    shown = " and ".join("–" if median is None else f"{median:g}" for median in medians)
    longer = "longer" if (of["auc"] or 0.5) > 0.5 else "shorter"
    than = f"{longer} in {first} than in {second}" if tells(of) else f"as long in {first} as in {second}"
    return not tells(of), f"Histories are {than} (medians {shown}; told apart with {_auc(of)})."


def _about_signal(name: str, train: Found, valid: Found, drawn: dict[str, Found], splits: dict[str, Any]) -> Verdict:
    """Whether train and valid are alike in it; if not, what follows, and which rows are drawn otherwise."""
    what = SIGNALS[name]
    if train["auc"] is None or valid["auc"] is None:
        return None, f"{what} cannot be judged: train or valid has rows of one class only."
    both = f"train ({_auc(train)}) and valid ({_auc(valid)})"
    if not differ(train, valid):
        says = f"separates {both} about alike" if tells(train) or tells(valid) else f"says next to nothing about {both}"
        return True, f"{what} {says}."
    if tells(train) != tells(valid):
        strong, weak = (("train", train), ("valid", valid))[:: 1 if tells(train) else -1]
        noise = THRESHOLDS["standard_errors"] * weak[1]["standard_error"]
        little = "nothing" if abs(weak[1]["auc"] - 0.5) <= noise else "little"
        says = f"separates {strong[0]} ({_auc(strong[1])}) and says {little} about {weak[0]} ({_auc(weak[1])})"
    elif (train["auc"] - 0.5) * (valid["auc"] - 0.5) < 0:
        says = f"separates {both} in opposite directions"
    else:
        says = f"separates {both}, but not equally"
    if name == "item_click_rate" and train["auc"] > max(0.5, valid["auc"]):
        skipped = splits["train"]["items_shown_without_a_click"]
        ever = f" ({percent(skipped)} of the items in train rows are ever shown without a click)"
        pool = ever if skipped < 0.9 else ""
        says += f": item ids learnt by heart carry over badly{pool}; keep model.record off or absorbed"
    if name == "item_history_clicks":
        kinds = {
            "rows without a click": drawn["popularity_of_other_items_valid_or_train"],
            "clicks": drawn["popularity_of_clicked_items_valid_or_train"],
        }
        changed = [
            f"valid's {kind} are on {'more' if of['auc'] > 0.5 else 'less'} popular items than train's"
            f" (told apart with {_auc(of)})"
            for kind, of in kinds.items()
            if tells(of)
        ]
        if len(changed) == 1:
            kept = next(kind for kind, of in kinds.items() if not tells(of))
            changed.append(f"its {kept} on equally popular ones")
        says += f": {', '.join(changed)}" if changed else ""
    return False, f"{what} {says}."


def _about_levels(of: Found, leak: bool) -> Verdict:
    own = of["own"]
    where = "" if of["known_from"] == "item_feature.parquet" else ", told by the levels of clicks"
    if not leak:
        if all(share["all"] in (None, 1.0) for share in own.values()):
            return True, f"Every row carries the likes and views levels of its own item{where}."
        says = ", ".join(f"{percent(share['all'])} of {split} rows" for split, share in own.items())
        return True, f"Rows carry their own item's levels, whatever their label, in {says}{where}."
    shares = ", but in ".join(
        f"{percent(own['train'][kind])} of train's and {percent(own['valid'][kind])} of valid's {rows}"
        for kind, rows in (("clicks", "clicks"), ("others", "other rows"))
    )
    alone = of["worth"]["match_and_rarity"]["valid"]
    together = of["one_pair_per_user"]["valid"]
    pair = f"; all rows of a user carry the same levels, for {percent(together)} of valid's users" if together else ""
    return False, (
        "LEAK: rows without a click carry another item's levels. A row carries its own item's in"
        f" {shares}{where}{pair}. Whether levels and item belong together has {_auc(alone)} on valid, with nothing"
        " known of the user: an AUC near it measures that, not taste. Model evidence reads it as a piece of its own"
        " (model.levels); beside each AUC stands what is left without it, by leak_free_model, the one to use outside"
        " the challenge."
    )


def _about_target_in_history(of: Found, leak: bool) -> Verdict:
    shares = " and ".join(
        f"{percent(of[split]['clicks'])} of {split}'s clicks and {percent(of[split]['others'])} of its other rows"
        for split in ("train", "valid")
    )
    if not leak:
        if not any(of[split][kind] for split in of for kind in ("clicks", "others")):
            return True, "No row's item is in its own history."
        return True, f"A row's item is in its own history in {shares}."
    return False, (
        f"LEAK: a row's item is in its own history in {shares}. That alone has {_auc(of['valid'])} on valid: cut"
        " histories before the click that they are to predict, and make the files again."
    )


def _about_alone(name: str, of: Found, leak: bool) -> Verdict:
    what, remedy = ALONE[name]
    aucs = " and ".join(f"{_auc(worth)} on {split}" for split, worth in of.items())
    if not leak:
        return True, f"{what[0].upper()}{what[1:]} gives no label away ({aucs})."
    return False, f"LEAK: {what} has {aucs}, knowing nothing of taste: {remedy}, and make the files again."


def _about_item_alone(signals: dict[str, dict[str, Found]]) -> Verdict:
    name = max(("item_click_rate", "item_history_clicks"), key=lambda name: signals[name]["valid"]["auc"] or 0)
    of = signals[name]["valid"]
    says = f"{SIGNALS[name]} has {_auc(of)} on valid by itself"
    if not tells(of, THRESHOLDS["alone"]):
        return True, f"{says}: which item it is does not decide."
    return False, (
        f"Which item it is nearly decides. {says}: an AUC near it measures how rows without a click were drawn, not"
        " taste. Draw them as popular as clicks are (in an import: train_negatives and eval_negatives: popularity)."
    )


def _about_repeats(of: Found, leak: dict[str, bool]) -> Verdict:
    overlap, repeated = of["valid_rows_in_train"], of["repeated_rows"]
    twice = " and ".join(f"{percent(repeated[split])} of {split} rows" for split in ("train", "valid"))
    says = (
        f"{percent(overlap['share'])} of valid rows (history and item) stand in train too, and"
        f" {percent(of['known_test_rows'])} of test rows (of the same user) in train or valid; {twice} are"
        " repeated."
    )
    if leak["valid_rows_in_train"]:
        says += f" The labels that valid rows have in train have {_auc(overlap)} on valid: split by user, or by time."
    elif leak["known_test_rows"]:
        says += " Their labels stand there: take those rows out of train and valid."
    else:
        return True, says
    return False, f"LEAK: {says}"


def _auc(of: Found) -> str:
    if of["auc"] is None:
        return "no AUC"
    error = of["standard_error"]
    return f"AUC {of['auc']:.3f}" + (f" ± {error:.3f}" if error is not None and error >= 0.0005 else "")
