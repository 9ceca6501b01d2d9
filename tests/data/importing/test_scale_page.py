"""What docs/scale.md runs to import a log within some memory."""

import json
import re
import subprocess
import sys
from pathlib import Path

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
