"""Parquet from strangers: what is sound is read whoever wrote it, what takes absurdly much is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data import parquet
from mmctr_kedro.data.parquet import open_parquet, read_columns

TABLE = pa.table(
    {
        "id": np.arange(5000),
        "text": [f"title {row % 7}" for row in range(5000)],
        "items": [[row] * (row % 4) for row in range(5000)],
        "fixed": pa.array([[row / 2] * 3 for row in range(5000)], pa.list_(pa.float32(), 3)),
        "gap": [None if row % 3 else row for row in range(5000)],
    }
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd", "row_group_size": 700},
        {"compression": "none", "use_dictionary": False},
        {"data_page_version": "2.0", "version": "2.6"},
        {"version": "1.0", "write_statistics": False},
        {"write_page_checksum": True, "write_page_index": True, "store_schema": False},
    ],
    ids=str,
)
def test_every_way_of_writing_a_table_is_read(options, tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet", **options)
    found = read_columns(tmp_path / "a.parquet", TABLE.column_names)
    assert found["items"].to_pylist() == TABLE["items"].to_pylist()
    assert found.select(["id", "text", "gap"]).to_pylist() == TABLE.select(["id", "text", "gap"]).to_pylist()


def test_a_table_without_rows_or_row_groups_is_read(tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    pq.ParquetWriter(tmp_path / "b.parquet", TABLE.schema).close()
    assert [len(read_columns(tmp_path / f"{name}.parquet", ["id"])) for name in "ab"] == [0, 0]


def test_histories_that_are_all_padding_are_no_bomb(tmp_path):
    """They shrink more than anything honest does: 200,000 of 64 clicks, of users who are all new."""
    padding = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(200_000 * 64, np.int64)), 64)
    users = np.random.default_rng(0).integers(1, 2**31, 200_000)
    pq.write_table(pa.table({"user_id": users, "item_seq": padding}), tmp_path / "a.parquet", compression="zstd")
    assert open_parquet(tmp_path / "a.parquet").metadata.num_rows == 200_000


def test_a_list_of_absurdly_many_equal_numbers_is_refused(tmp_path):
    """Run lengths make 200 MB of zeros a few kilobytes."""
    zeros = pa.ListArray.from_arrays([0, 25_000_000], pa.array(np.zeros(25_000_000, np.int64)))
    pq.write_table(pa.table({"item_seq": zeros}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(MmctrError, match=r"a\.parquet: takes 200,000,000 bytes once decoded"):
        open_parquet(tmp_path / "a.parquet")


def test_a_checksum_that_does_not_hold_is_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE, path, write_page_checksum=True, use_dictionary=False, compression="none")
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(MmctrError, match=r"a\.parquet: cannot be read as parquet.* \(.*[Cc][Rr][Cc]"):
        read_columns(path, ["id"])


def test_a_file_cut_short_is_an_error_that_names_it(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    with pytest.raises(MmctrError, match=r"a\.parquet: cannot be read as parquet; if it is truncated, copy it again"):
        open_parquet(tmp_path / "a.parquet")


def test_a_row_group_beyond_the_machines_memory_is_refused(tmp_path, monkeypatch):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    monkeypatch.setattr(parquet.os, "sysconf", lambda name: 100)
    with pytest.raises(MmctrError, match="10,000, this machine's memory"):
        open_parquet(tmp_path / "a.parquet")
