"""kedro-datasets' datasets, made whole and sealed: what they save, load and show stays theirs."""

import inspect
import os

import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro_datasets import json, pandas, plotly, text
from pandas.testing import assert_frame_equal
from plotly import graph_objects
from pyarrow import parquet

from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.common.seals import seal_of
from mmctr_kedro.datasets.sealed import JSONDataset, ParquetDataset, PlotlyDataset, TextDataset

ALL = {
    JSONDataset: (json.JSONDataset, {"a": [1, None]}),
    ParquetDataset: (pandas.ParquetDataset, pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
    TextDataset: (text.TextDataset, "héllo"),
    PlotlyDataset: (plotly.JSONDataset, graph_objects.Figure(graph_objects.Scatter(y=[1, 2]))),
}
every = pytest.mark.parametrize("ours", ALL)


def save(ours, path):
    ours(filepath=str(path)).save(ALL[ours][1])
    return ours(filepath=str(path))


def same(left, right):
    if isinstance(left, pd.DataFrame):
        assert_frame_equal(left, right)
    else:
        assert left == right


@every
def test_what_is_saved_comes_back_sealed_and_the_library_reads_it_too(tmp_path, ours):
    dataset = save(ours, tmp_path / "below" / "file")
    same(dataset.load(), ALL[ours][1])
    same(ALL[ours][0](filepath=str(tmp_path / "below" / "file")).load(), ALL[ours][1])
    assert {path.name for path in (tmp_path / "below").iterdir()} == {"file", ".file.sha256"}


@every
def test_a_damaged_file_is_refused_and_a_users_own_is_not(tmp_path, ours):
    dataset = save(ours, tmp_path / "file")
    damaged = bytearray((tmp_path / "file").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "file").write_bytes(damaged)
    with pytest.raises(DatasetError, match="is not what was written") as error:
        dataset.load()
    assert isinstance(error.value.__cause__, MmctrError)
    seal_of(tmp_path / "file").unlink()
    ALL[ours][0](filepath=str(tmp_path / "file")).save(ALL[ours][1])
    same(dataset.load(), ALL[ours][1])


@every
def test_an_error_in_the_middle_leaves_the_old_file(tmp_path, ours, monkeypatch):
    dataset = save(ours, tmp_path / "file")
    (tmp_path / "file").write_bytes(b"another one")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, os.strerror(28))))
    with pytest.raises(DatasetError, match=r"written: No space left.*MB free.*What is there is whole") as error:
        dataset.save(ALL[ours][1])
    assert isinstance(error.value.__cause__, DiskError)
    assert (tmp_path / "file").read_bytes() == b"another one"


@every
def test_the_viewer_shows_a_dataset_as_the_librarys_own(tmp_path, ours):
    """Kedro-Viz chooses how to show a dataset by the annotation of its preview. Texts of ours are pages: a table."""
    theirs = ALL[ours][0]
    kind = inspect.signature(theirs.preview).return_annotation if hasattr(theirs, "preview") else "TablePreview"
    assert inspect.signature(ours.preview).return_annotation == getattr(kind, "__name__", kind)


def test_a_figure_is_shown_as_it_is(tmp_path):
    dataset = save(PlotlyDataset, tmp_path / "file")
    assert dataset.preview() == plotly.JSONDataset(filepath=str(tmp_path / "file")).preview()


@every
def test_the_same_data_leave_the_file_alone(tmp_path, ours):
    dataset = save(ours, tmp_path / "file")
    before = (tmp_path / "file").stat()
    dataset.save(ALL[ours][1])
    after = (tmp_path / "file").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_table_has_a_checksum_in_every_page_and_settings_of_the_catalog_still_count(tmp_path):
    filepath = str(tmp_path / "table")
    catalog = DataCatalog.from_config(
        {
            "table": {
                "type": "mmctr_kedro.datasets.sealed.ParquetDataset",
                "filepath": filepath,
                "save_args": {"compression": "gzip"},
            }
        }
    )
    catalog.save("table", ALL[ParquetDataset][1])
    assert parquet.read_metadata(filepath).row_group(0).column(0).compression == "GZIP"
    same(parquet.read_table(filepath, page_checksum_verification=True).to_pandas(), ALL[ParquetDataset][1])
    whole = (tmp_path / "table").read_bytes()
    plain = tmp_path / "plain"
    pandas.ParquetDataset(filepath=str(plain), save_args={"compression": "gzip"}).save(ALL[ParquetDataset][1])
    assert len(whole) > len(plain.read_bytes())  # by the checksums
