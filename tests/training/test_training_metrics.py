"""AUC and logloss equal scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from mmctr_kedro.training.metrics import auc, logloss


def test_auc_of_four_rows_by_hand():
    # Click 0.4 beats 0.1 and ties with 0.4; click 0.8 beats both: (1 + 0.5 + 2) / 4.
    assert auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])) == 0.875


def test_auc_of_one_class_is_undefined():
    assert np.isnan(auc(np.array([1, 1]), np.array([0.1, 0.2])))


rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=60).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


@given(rows)
def test_auc_is_scikit_learns_with_ties(pairs):
    label, score = np.array(pairs).T
    assert auc(label, score / 7) == pytest.approx(roc_auc_score(label, score / 7), abs=1e-12)


def test_logloss_is_scikit_learns_even_at_0_and_1():
    label = np.array([0, 1, 1, 0, 1], np.int8)
    probability = np.array([0.0, 1.0, 0.3, 0.6, 0.0], np.float32)
    assert logloss(label, probability) == pytest.approx(log_loss(label, probability), rel=1e-6)
