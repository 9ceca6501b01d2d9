"""A long piece of work says how far it is, now and then."""

import logging

import pytest

from mmctr_kedro.common import progress
from mmctr_kedro.common.progress import Progress
from mmctr_kedro.encoders.base import threads_or_all


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until told."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_comes_at_the_interval_and_at_the_end_with_rate_and_time_left(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("covers", total=1_000, log_seconds=5)
    for clock[0], count in [(1.0, 100), (4.0, 300), (8.0, 400), (9.0, 100), (10.0, 100)]:
        work.advance(count)
    work.log_end()
    assert caplog.messages == [
        "covers: 800 of 1,000, 100 a second, about 2 s left",
        "covers: 1,000 in 10.0 s, 100 a second",
    ]


def test_items_that_need_no_work_shorten_the_time_left_but_not_the_rate(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("covers", total=1_000, log_seconds=5)
    work.skip(800)
    for clock[0], count in [(10.0, 100), (20.0, 100)]:
        work.advance(count)
    work.log_end()
    assert caplog.messages == [
        "covers: 900 of 1,000, 10 a second, about 10 s left",
        "covers: 200 in 20.0 s, 10 a second; 800 were known",
    ]


def test_threads_are_what_was_asked_for_or_at_least_one():
    assert threads_or_all(3) == 3
    assert threads_or_all(None) >= 1
