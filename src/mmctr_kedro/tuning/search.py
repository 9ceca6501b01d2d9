"""The search for settings: an Optuna study of trials, judged on valid rows, and its best repeated with other seeds.

A trial trains a model and writes nothing but its line in the study, which several processes and machines may share.
"""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import find
from mmctr_kedro.data.clicks import Clicks, digest
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.evaluation.metrics import auc_standard_error
from mmctr_kedro.evaluation.slices import known
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.training import trained_model
from mmctr_kedro.tuning.settings import Range, Space, TuneParams
from mmctr_kedro.tuning.spaces import the_space, the_starts, widened, with_values

logger = logging.getLogger(__name__)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeats, since optuna 2.8

# A trial whose process was killed is known by its silence, and tried again.
HEARTBEAT, SILENCE = 5, 20  # seconds
SEARCH, REPEATS = "search", "repeats"  # the two studies of a search
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# It diverged, values that each fit do not together, or a GPU has no room for them.
FAILURES = (ValueError, torch.OutOfMemoryError)  # an MmctrError is a ValueError
SLICES = ("auc_unseen_items", "auc_by_history_length", "auc_by_popularity_decile")


@dataclass(frozen=True)
class Search:
    """What trials are made of, the same in every process."""

    name: str
    url: str
    params: CtrParams | FixedCtrParams
    tune: TuneParams
    space: Space
    data: tuple[Clicks, Clicks, np.ndarray, np.ndarray]

    def study(self, part: str = SEARCH, worker: int = 0) -> optuna.Study:
        """The study of this search, or of what is repeated of it; made if there is none."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        locks = {"connect_args": {"timeout": 60}} if self.url.startswith("sqlite") else {}
        alive: dict[str, Any] = {
            "heartbeat_interval": HEARTBEAT,
            "grace_period": SILENCE,
            "heartbeat_stale_trial_callback": optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        }
        storage = optuna.storages.RDBStorage(self.url, locks, **alive)
        study = optuna.create_study(
            study_name=f"{self.name} {part}",
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.SuccessiveHalvingPruner(self.tune.first_cut, self.tune.keep),
        )
        # With the same seed a resumed search would draw again what it drew before.
        study.sampler = optuna.samplers.TPESampler(seed=self.tune.seed + 1000 * worker + len(study.trials))
        return study

    def try_out(self, trial: Trial) -> float:
        """Train with the values drawn; the valid AUC of the weights kept."""
        values = {name: self._draw(trial, name, choices) for name, choices in self.space.items()}
        is_start = "start" in trial.user_attrs

        def report(history: list[dict[str, Any]]) -> None:
            trial.report(max(entry["valid_auc"] for entry in history), len(history))
            if not is_start and trial.should_prune():  # the search is measured by its starts, so they are finished
                raise optuna.TrialPruned

        clicks_train, clicks_valid, tags, embedding = self.data
        try:
            params = with_values(self.params, values)
            model, _ = trained_model.train(*self.data, params, after_evaluation=report)
        except FAILURES as error:
            trial.set_user_attr("error", str(error))
            raise
        except KeyboardInterrupt:  # what was cut off is tried again when the search goes on
            trial.study.enqueue_trial(values, trial.user_attrs)
            raise
        pctr = trained_model.predict(model, clicks_valid, tags, embedding)
        found = evaluate(clicks_valid, pctr, clicks_train, resamples=0)
        trial.set_user_attr("auc_standard_error", known(auc_standard_error(np.asarray(clicks_valid.label), pctr)))
        for name in SLICES:
            trial.set_user_attr(name, found[name])
        return float(found["auc"])

    def repeat(self, trial: Trial) -> float:
        """Train with a finalist's values and another seed, to the end."""
        number, repeat = trial.suggest_int("trial", 0, 10**9), trial.suggest_int("repeat", 1, 10**6)
        if trial.params not in trial.study.user_attrs["wanted"]:  # of a finalist that has been beaten since
            raise optuna.TrialPruned
        values = self.study().trials[number].params | {"seed": self.params.seed + repeat}
        _, history = trained_model.train(*self.data, with_values(self.params, values))
        return float(max(entry["valid_auc"] for entry in history))

    def _draw(self, trial: Trial, name: str, choices: Range | list[Any]) -> Any:
        if not isinstance(choices, Range):
            return trial.suggest_categorical(name, choices)
        whole = choices.low.is_integer() and choices.high.is_integer()
        if isinstance(value := find(self.params.model_dump(), name), int) or (value is None and whole):
            return trial.suggest_int(name, math.ceil(choices.low), math.floor(choices.high), log=choices.log)
        return trial.suggest_float(name, choices.low, choices.high, log=choices.log)

    def run(self, part: str) -> None:
        """Let all workers take trials until there is nothing left to do or no time."""
        until = time.time() + 60 * self.tune.minutes
        others = range(1, self.tune.workers)
        # Not forked: torch's threads do not outlive that.
        with ProcessPoolExecutor(max(1, len(others)), multiprocessing.get_context("spawn")) as pool:
            working = [pool.submit(self.work, part, worker, until) for worker in others]
            self.work(part, 0, until)
            for worker in working:
                worker.result()

    def work(self, part: str, worker: int, until: float) -> None:
        """Take one trial after the other, in this process."""
        study, parent = self.study(part, worker), multiprocessing.parent_process()
        while parent is None or parent.is_alive():
            states = [trial.state for trial in study.get_trials(deepcopy=False)]
            if part == SEARCH and (time.time() >= until or sum(state in ENDED for state in states) >= self.tune.trials):
                return
            if part == REPEATS and TrialState.WAITING not in states:
                if TrialState.RUNNING not in states:
                    return
                time.sleep(1)  # another is at the last ones, or was killed at them
                optuna.storages.fail_stale_trials(study)
                continue
            study.optimize(
                self.try_out if part == SEARCH else self.repeat,
                n_trials=1,
                catch=FAILURES,
                callbacks=[_say],
            )
        os._exit(1)  # the parent was killed: its pool would wait here for it forever


def search(
    params: CtrParams | FixedCtrParams,
    tune: TuneParams,
    url: str,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
) -> tuple[dict[str, Any], optuna.Study]:
    """Find settings by valid AUC; what an earlier search of the same data and settings found counts.

    Args:
        params: The settings that are not searched, and the first starting values.
        tune: The space and the budget.
        url: The database of the study.
        clicks_train, clicks_valid, item_tags, item_embedding: As for ``train``.

    Returns:
        tuning: Plain JSON. ``settings`` is the whole block found, ``found`` the trial, its valid AUC with the seed
        of the search and its mean over all seeds, ``optimism`` what the best of so many trials is above its worth by
        luck at most.
        study: Of the trials, to be drawn.
    """
    params = with_values(params, {"processes": 1})  # trials run side by side instead
    if isinstance(params, CtrParams) and params.model.to_compare():
        params = with_values(params, {"model.compare": False})  # its pieces are searched
    space = the_space(params, tune.space)
    starts = the_starts(params, space)
    space = widened(space, starts)
    data = (clicks_train, clicks_valid, item_tags, item_embedding)
    search = Search(_name(params, space, data), url, params, tune, space, data)
    study = search.study()
    logger.info("%d of %d trials are there: %s", len(study.trials), tune.trials, search.name)
    for where, values in starts.items():
        study.enqueue_trial(values, {"start": where}, skip_if_exists=True)
    search.run(SEARCH)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        errors = [trial.user_attrs["error"] for trial in study.trials if "error" in trial.user_attrs]
        raise MmctrError(f"No trial came to its end. {errors[0] if errors else 'Give it more tune.minutes.'}")
    finalists = sorted(complete, key=_auc, reverse=True)[: tune.finalists]
    repeats = search.study(REPEATS)
    wanted = [{"trial": of.number, "repeat": number} for of in finalists for number in range(1, tune.seeds)]
    there = [
        of.system_attrs.get("fixed_params")
        for of in repeats.trials
        if of.state not in (TrialState.PRUNED, TrialState.FAIL)
    ]
    repeats.set_user_attr("wanted", wanted)
    for values in wanted:
        if values not in there:
            repeats.enqueue_trial(values)
    search.run(REPEATS)
    # By trial and repeat: of two searches on one study, each may have asked for the same one.
    done = {tuple(of.params.values()): _auc(of) for of in repeats.get_trials(states=(TrialState.COMPLETE,))}
    aucs = {
        trial.number: [_auc(trial), *(auc for (number, _), auc in done.items() if number == trial.number)]
        for trial in finalists
    }
    best = max(finalists, key=lambda trial: float(np.mean(aucs[trial.number])))
    tuning = _in_words(search, study, best, aucs)
    if tuning["optimism"] is not None:
        logger.warning(
            "trial %d: valid AUC %.4f, %.4f over %d seeds. On %d valid rows the best of %d trials may lie %.4f above "
            "its worth by luck.",
            best.number, best.value, tuning["found"]["mean"], tuning["found"]["trainings"], len(clicks_valid),
            len(tuning["trials"]), tuning["optimism"],
        )  # fmt: skip
    return tuning, study


def best_of(trials: int) -> float:
    """The expected largest of so many standard normal numbers (Blom, 1958)."""
    from scipy.stats import norm

    return float(norm.ppf((trials - 0.375) / (trials + 0.25)))


def _name(params: CtrParams | FixedCtrParams, space: Space, data: tuple[Any, ...]) -> str:
    """Of the study: data, settings and space that any difference in makes another one."""
    clicks_train, clicks_valid, item_tags, item_embedding = data
    what = {
        "settings": params.what_is_trained(),
        "space": {name: of.model_dump() if isinstance(of, Range) else of for name, of in space.items()},
        "data": [clicks_train.digest(), clicks_valid.digest(), digest(tags=item_tags, embedding=item_embedding)],
    }
    model = "fixed din" if isinstance(params, FixedCtrParams) else params.model.name
    return f"{model} {sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]}"


def _say(study: optuna.Study, trial: FrozenTrial) -> None:
    if "repeat" in trial.params:
        if trial.state == TrialState.PRUNED:
            return
        logger.info("trial %d again, seed + %d: %s", trial.params["trial"], trial.params["repeat"], _form(trial.value))
        return
    became = {
        TrialState.COMPLETE: "",
        TrialState.PRUNED: f", ended early after {trial.last_step} evaluations",
        TrialState.FAIL: f", failed: {trial.user_attrs.get('error')}",
    }[trial.state]
    values = [_auc(other) for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    best = _form(max(values, default=None))
    name = f" ({trial.user_attrs['start']} values)" if "start" in trial.user_attrs else ""
    logger.info("trial %d%s: valid AUC %s%s; best so far %s", trial.number, name, _form(_reached(trial)), became, best)


def _auc(trial: FrozenTrial) -> float:
    assert trial.value is not None  # it is complete
    return trial.value


def _reached(trial: FrozenTrial) -> float | None:
    return trial.value if trial.value is not None else max(trial.intermediate_values.values(), default=None)


def _form(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _in_words(search: Search, study: optuna.Study, best: FrozenTrial, aucs: dict[int, list[float]]) -> dict[str, Any]:
    trials = [trial for trial in study.trials if trial.state in ENDED]
    error, luck = best.user_attrs["auc_standard_error"], best_of(len(trials))
    starts = {trial.user_attrs["start"]: trial for trial in trials if "start" in trial.user_attrs}
    shown = {"found": best} | {where: trial for where, trial in starts.items() if trial.state == TrialState.COMPLETE}
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return {
        "study": search.name,
        "settings": with_values(search.params, best.params).model_dump(mode="json"),
        "found": {
            "trial": best.number,
            "auc": best.value,
            "auc_standard_error": error,
            "mean": float(np.mean(aucs[best.number])),
            "trainings": len(aucs[best.number]),
            "values": best.params,
        },
        "starts": {where: _reached(trial) for where, trial in starts.items()},
        "valid_rows": len(search.data[1]),
        "optimism": None if error is None else luck * error,
        "finalists": [
            {
                "trial": number,
                "mean": float(np.mean(of)),
                "spread": float(np.std(of, ddof=1)) if len(of) > 1 else None,
                "trainings": len(of),
                **study.trials[number].params,
            }
            for number, of in aucs.items()
        ],
        "importances": optuna.importance.get_param_importances(study) if _vary(complete) else {},
        "slices": {where: {name: trial.user_attrs[name] for name in SLICES} for where, trial in shown.items()},
        "trials": [
            {
                "trial": trial.number,
                "from": trial.user_attrs.get("start", "search"),
                "became": trial.state.name.lower(),
                "valid AUC": _reached(trial),
                "evaluations": trial.last_step or 0,
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                **trial.params,
            }
            for trial in trials
        ],
    }


def _vary(trials: list[FrozenTrial]) -> bool:
    return len({trial.value for trial in trials}) > 1


def draw(study: optuna.Study) -> dict[str, Any]:
    """Optuna's figures: how trials went, what their values did, and which of them mattered."""
    from optuna import visualization

    figures = {
        "trials": visualization.plot_optimization_history(study, target_name="valid AUC"),
        "evaluations": visualization.plot_intermediate_values(study).update_layout(
            xaxis_title="evaluations", yaxis_title="valid AUC so far"
        ),
        "values": visualization.plot_slice(study, target_name="valid AUC"),
    }
    if _vary(study.get_trials(states=(TrialState.COMPLETE,))):
        figures["importances"] = visualization.plot_param_importances(study)
    for figure in figures.values():  # as wide as the page
        figure.update_layout(template="none", title=None, width=None, margin_t=30).update_yaxes(automargin=True)
    return figures
