"""What docs/serving.md says is what happens: its Python runs as it stands."""

import re
from pathlib import Path

import numpy as np

import mmctr_kedro as mm

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_pages_python_runs_on_a_trained_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = mm.RawFolder(Path("challenge"))
    mm.write_world(mm.WorldParams(items=80, train_rows=200, valid_rows=80, test_rows=40, cover_size=32), folder)
    data = mm.read_challenge(folder)
    params = mm.CtrParams(model=mm.EvidenceParams(compare=False), batch_size=64, epochs=1)
    model, _ = mm.train(data.train, data.valid, data.item_tags, data.item_embedding, params)
    tables = (data.item_content, data.train, data.valid, data.item_tags, data.item_embedding)
    mm.save_model(mm.leave_out_the_leak(model, *tables)[0], "leak_free_model.safetensors")

    new = {"item_tags": data.item_tags[1:3], "item_embedding": data.item_embedding[1:3], "item_levels": np.ones((2, 2))}
    said = dict(new)
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1], said)
    assert said["scorer"].items == 82
    assert said["new"].tolist() == [81, 82]
    assert set(said["ids"][0].tolist()) <= {5, 6, 7, 8}
