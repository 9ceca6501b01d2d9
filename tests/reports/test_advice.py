"""What a run shows decides what to try next; each row of the table by hand."""

import pytest

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports.advice import ADVICE, Shown, advise, shown

PLAIN = Shown(
    task="task2", label="Task 2", model="evidence", fixed=False, simulated=False, auc=0.8, why="", leak=0.0, way=0.9,
    way_without_leak=1.0, our_embedding=False, recall=0.2, recall_provided=0.2, unseen=0.8, unseen_worse=False,
    predicted=1.0, epochs=10, best_epoch=7, allowed=100, more_epochs=200, slower=1e-3, stronger=0.03,
)  # fmt: skip
OURS = {"task": "task1", "label": "Task 1", "our_embedding": True}
CASES = [
    ({"why": "epochs is 2"}, "It may not be submitted: epochs is 2.", "--pipeline rules --namespaces task2"),
    ({"leak": 0.38}, "0.380 of its AUC is the levels' leak", "--pipeline score --namespaces task2"),
    ({"best_epoch": 100}, "The last epoch", "--pipeline task2 --params task2.ctr.epochs=200"),
    ({"best_epoch": 1}, "The first epoch", "--pipeline task2 --params task2.ctr.learning_rate=0.001"),
    ({"fixed": True, "model": "din", "way": 0.59}, "gone 59% of the way", "--pipeline tune --namespaces task2"),
    ({"model": "din"}, "Its model is DIN", "task2.ctr.model.name=evidence"),
    (OURS | {"recall_provided": 0.3}, "less often by our embedding (20.0%)", "--pipeline embedding_variants"),
    (OURS | {"way_without_leak": 0.3}, "gone 30% of the way", "--pipeline embedding_variants"),
    (OURS | {"unseen": 0.6, "unseen_worse": True}, "ranked worse (AUC 0.600, not 0.800)", "--pipeline finetune"),
    ({"predicted": 1.2}, "predicts 1.20 clicks for each one made", "task2.ctr.net_regularizer=0.03"),
    ({"simulated": True}, "These data are simulated.", "kedro run --env movielens"),
]


@pytest.mark.parametrize(("seen", "says", "command"), CASES, ids=[says for _, says, _ in CASES])
def test_what_a_run_shows_is_answered_with_a_command(seen, says, command):
    [found] = advise([PLAIN._replace(**seen)])
    assert says in found["says"]
    assert command in found["command"]


def test_every_row_of_the_table_is_tested():
    assert len(CASES) == len(ADVICE)


def test_where_nothing_stands_out_a_search_is_proposed():
    [found] = advise([PLAIN])
    assert found["command"] == "kedro run --pipeline tune --namespaces task2 --params tune.minutes=15"


def test_a_command_for_several_tasks_comes_once():
    runs = [PLAIN._replace(simulated=True, label=label, predicted=1.2) for label in ("Task 1", "Task 2")]
    found = {entry["command"]: entry["label"] for entry in advise([*runs, None])}
    assert found["kedro run --env movielens"] == "Task 1, Task 2"


def test_the_fixed_model_is_never_told_to_break_its_rule_of_100_epochs():
    official = PLAIN._replace(fixed=True, best_epoch=100, allowed=100, more_epochs=100)
    assert "epochs" not in advise([official])[0]["command"]


METRICS = {
    "task": "task1", "model": "din", "auc": 0.8, "without_leak": {"auc": 0.65}, "best_reachable_auc": 0.9,
    "ceilings": {"posterior_without_levels": 0.75}, "not_submittable": ["a", "b"], "predicted_per_click": None,
    "embedding": {"encoders": {"titles": "minilm"}, "next_item_recall_at_100": 0.2}, "epochs": 3, "best_epoch": 2,
    "auc_unseen_items": {"auc": 0.6, "auc_interval": [0.5, 0.7]},
}  # fmt: skip


def test_what_a_run_shows_is_read_off_its_metrics():
    found = shown(METRICS, FixedCtrParams(epochs=5, learning_rate=1e-3), True, 0.3)
    assert (found.fixed, found.allowed, found.more_epochs, found.slower) == (True, 5, 100, 3e-4)
    assert (found.leak, found.way, found.way_without_leak) == pytest.approx((0.15, 0.75, 0.6))
    assert (found.unseen_worse, found.why, found.predicted) == (True, "a; b", 1.0)
    assert found.stronger == 1e-3
    assert shown(METRICS, FixedCtrParams(net_regularizer=0.01), True, 0.3).stronger == pytest.approx(0.03)


def test_where_nobody_knows_the_truth_or_nothing_leaks_nothing_is_said_of_them():
    unknown = METRICS | {"best_reachable_auc": None, "ceilings": None, "without_leak": None}
    found = shown(unknown, CtrParams(), False, None)
    assert (found.way, found.way_without_leak, found.leak) == (1.0, 1.0, 0.0)


def test_without_an_auc_there_is_no_advice():
    assert shown(METRICS | {"auc": None}, CtrParams(), False, None) is None
    assert advise([None] * len(TASKS)) == []
