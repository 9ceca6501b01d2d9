"""What docs/scale.md runs: to import a log within some memory, to hand its rows to another system."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.worlds.settings import WorldParams
from mmctr_kedro.worlds.world import write_world

PROJECT = Path(__file__).parents[3]


def test_the_command_on_the_page_imports_a_log_within_the_memory_it_names(tmp_path):
    [command] = re.findall(r"\$ kedro (run --pipelines import_log .+)", (PROJECT / "docs" / "scale.md").read_text())
    log = "user,item,timestamp\n" + "".join(f"{user},{item},{item}\n" for user in (1, 2) for item in range(1, 8))
    (tmp_path / "interactions.csv").write_text(log)
    (tmp_path / "items.csv").write_text("item,title,tags\n" + "".join(f"{item},,\n" for item in range(1, 13)))
    command = command.replace("/path/to/log", str(tmp_path)).replace("data/mine", str(tmp_path / "root"))
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *command.split()], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "root" / "01_raw" / "challenge" / "import_log.json").read_text())
    assert record["params"]["memory_gib"] == 4
    assert record["found"]["interactions"] == 14


def test_the_pages_python_hands_rows_over_with_what_their_items_carry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = RawFolder(tmp_path / "data" / "01_raw" / "challenge")
    write_world(WorldParams(items=80, train_rows=200, valid_rows=80, test_rows=40, covers=False), raw)
    exec(re.search(r"```python\n(.*?)```", (PROJECT / "docs" / "scale.md").read_text(), re.DOTALL)[1], {})
    made = pd.read_parquet("for_torcheasyrec").set_index(["user_id", "item_id"]).sort_index()
    rows = pd.read_parquet(raw.file("train")).set_index(["user_id", "item_id"]).sort_index()
    items = pd.read_parquet(raw.file("item_info")).set_index("item_id")
    assert made["label"].tolist() == rows["label"].tolist()
    for (_, item), row in made.iterrows():
        assert row["item_emb_d128"].tolist() == items.loc[item, "item_emb_d128"].tolist()
    histories = [[item for item in history if item] for history in rows["item_seq"]]
    assert [history.tolist() for history in made["click_seq__item_id"]] == histories
