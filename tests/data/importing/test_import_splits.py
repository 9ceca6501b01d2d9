"""Which clicks of a log become rows, in which split, with which history: worked out by hand."""

import pytest

# Users 5 and 9 of conftest.LOG: 5 clicks 10, 20, ... 80; 9 clicks 80, 70, 60, 50, 40.


def log(*rows: tuple, columns: str = "user,item,timestamp") -> str:
    return "\n".join([columns, *(",".join(str(value) for value in row) for row in rows)]) + "\n"


def one_user(*times: int) -> str:
    """User 1 clicks 10, 20, ... at these times."""
    return log(*((1, 10 * (place + 1), time) for place, time in enumerate(times)))


def test_the_last_click_is_test_the_one_before_valid_and_the_others_from_the_fourth_on_train(imported):
    out = imported()
    assert out.clicks("train") == [
        (5, [10, 20, 30], 40),
        (5, [10, 20, 30, 40], 50),
        (5, [10, 20, 30, 40, 50], 60),
    ]
    assert out.clicks("valid") == [(5, [10, 20, 30, 40, 50, 60], 70), (9, [80, 70, 60], 50)]
    assert out.histories("test") == {5: [[10, 20, 30, 40, 50, 60, 70]], 9: [[80, 70, 60, 50]]}


def test_the_order_of_rows_in_the_file_does_not_matter(imported):
    first = imported().rows("train")
    rows = [(5, 10 * n, n) for n in (8, 3, 1, 7, 2, 6, 5, 4)] + [(9, 90 - 10 * n, 10 + n) for n in (2, 1, 4, 3, 5)]
    assert imported(log(*rows)).rows("train") == first


def test_clicks_at_the_same_time_are_never_parted_into_history_and_target(imported):
    out = imported(one_user(1, 2, 3, 3, 3, 4, 4))
    assert out.clicks("train") == [(1, [10, 20], 40), (1, [10, 20], 50)]
    assert out.clicks("valid") == [(1, [10, 20, 30, 40, 50], 60)]
    assert out.histories("test") == {1: [[10, 20, 30, 40, 50]]}  # 60 has the time of the target, 70


def test_clicks_at_the_same_time_count_in_the_order_of_the_file(imported):
    out = imported(log((1, 40, 3), (1, 30, 3), (1, 20, 2), (1, 10, 1), (1, 60, 9), (1, 50, 9)))
    assert [click[2] for click in out.clicks("valid")] == [60]
    assert [item for _, _, item, _ in out.rows("test")].count(50) == 1
    assert out.clicks("train") == [(1, [10, 20], 30)]  # 40 stands first in the file, so 30 is the 4th


def test_with_more_clicks_per_split_none_shows_the_answer_to_another(imported):
    out = imported(one_user(1, 2, 3, 4, 5, 6, 7, 8), eval_clicks_per_user=2)
    assert out.clicks("train") == [(1, [10, 20, 30], 40)]
    assert out.clicks("valid") == [(1, [10, 20, 30, 40], 50), (1, [10, 20, 30, 40], 60)]
    assert out.histories("test") == {1: [[10, 20, 30, 40, 50, 60]]}


def test_a_split_that_begins_amid_equal_times_still_parts_none_of_them(imported):
    out = imported(one_user(1, 2, 3, 4, 5, 6, 6, 7), eval_clicks_per_user=2)  # test: 70 at 6, 80 at 7
    assert out.histories("test") == {1: [[10, 20, 30, 40, 50], [10, 20, 30, 40, 50, 60]]}


def test_ratings_below_the_threshold_are_neither_rows_nor_history(imported):
    rows = [(5, 10 * n, n, 4.0) for n in range(1, 8)]
    rows[2] = (5, 30, 3, 3.5)
    out = imported(
        log(*rows, columns="user,item,timestamp,rating"),
        log={"rating": "rating"},
        positive_rating=4,
    )
    assert out.clicks("train") == [(5, [10, 20, 40], 50)]
    assert out.clicks("valid") == [(5, [10, 20, 40, 50], 60)]


def test_only_the_newest_clicks_become_train_rows_where_that_is_asked(imported):
    out = imported(train_clicks_per_user=1)
    assert out.clicks("train") == [(5, [10, 20, 30, 40, 50], 60)]


def test_a_history_keeps_the_newest_64_clicks(imported):
    items = "item,title,tags\n" + "".join(f"{n},,\n" for n in range(1, 81))
    out = imported(log(*((1, n, n) for n in range(1, 71))), items)
    assert out.histories("test") == {1: [list(range(6, 70))]}
    assert out.clicks("train")[-1] == (1, list(range(4, 68)), 68)


def test_a_second_click_on_the_same_item_does_not_count(imported):
    out = imported(log(*((1, item, time) for time, item in enumerate([10, 20, 10, 30, 40, 20, 50, 60, 10]))))
    assert out.clicks("train") == [(1, [10, 20, 30], 40)]
    assert out.clicks("valid") == [(1, [10, 20, 30, 40], 50)]
    assert out.histories("test") == {1: [[10, 20, 30, 40, 50]]}


def test_users_drawn_for_valid_and_test_leave_the_others_to_train(imported):
    many = log(*((user, 10 * n, n) for user in range(1, 9) for n in range(1, 7)))
    out = imported(many, valid_users=2, test_users=3)
    valid = out.clicks("valid")
    assert len(valid) == 2
    assert len(out.histories("test")) == 3
    assert len(out.clicks("train")) == 8 * 3 - 2 - 3
    assert imported(many, valid_users=2, test_users=3, seed=2).clicks("valid") != valid


def test_item_seq_holds_the_clicks_of_training_time_and_no_target(imported):
    out = imported()
    users, items = out.source("user"), out.source("item")
    found = {users[row["user_id"]]: [items[i] for i in row["item_seq"]] for row in out.file("item_seq")}
    assert found == {5: [10, 20, 30, 40, 50, 60], 9: [80, 70, 60]}


def test_sequences_give_the_same_files_as_rows_with_times(imported):
    names = ("train", "valid", "test", "item_seq", "item_feature", "item_info", "item_emb")
    rows = imported()
    from_rows = {name: rows.file(name) for name in names}
    tsv = imported("5\t10 20 30 40 50 60 70 80\n9\t80 70 60 50 40\n", log={"format": "sequences", "separator": "\t"})
    assert {name: tsv.file(name) for name in names} == from_rows


IMPRESSIONS = log(
    *[(1, 10, 1, 1), (1, 20, 2, 1), (1, 30, 3, 1), (1, 40, 4, 0), (1, 50, 5, 0), (1, 60, 5, 1)],
    *[(1, 70, 6, 1), (1, 80, 6, 0), (1, 90, 7, 1), (1, 100, 7, 0), (1, 110, 8, 0)],
    columns="user,item,timestamp,label",
)


def test_impressions_with_labels_are_the_rows_and_nothing_is_sampled(imported):
    out = imported(IMPRESSIONS, log={"label": "label"})
    assert out.rows("train") == [
        (1, [10, 20, 30], 40, 0),
        (1, [10, 20, 30], 50, 0),
        (1, [10, 20, 30], 60, 1),
    ]
    assert out.rows("valid") == [(1, [10, 20, 30, 60], 70, 1), (1, [10, 20, 30, 60], 80, 0)]
    past = [10, 20, 30, 60, 70]
    assert out.rows("test") == [(1, past, 90, None), (1, past, 100, None), (1, past, 110, None)]


def test_item_seq_leaves_out_what_is_shown_again_in_valid(imported):
    again = IMPRESSIONS.replace("1,80,6,0", "1,20,6,0")
    out = imported(again, log={"label": "label"})
    items = out.source("item")
    assert [[items[i] for i in row["item_seq"]] for row in out.file("item_seq")] == [[10, 30, 60]]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_rows_of_one_click_stand_together_and_share_user_and_history(imported, split):
    out = imported(train_negatives_per_click=3, eval_negatives_per_click=3)
    rows = out.rows(split)
    for start in range(0, len(rows), 4):
        group = rows[start : start + 4]
        assert len({(user, tuple(history)) for user, history, _, _ in group}) == 1
        assert len({item for _, _, item, _ in group}) == 4
        assert split == "test" or sum(label for *_, label in group) == 1
