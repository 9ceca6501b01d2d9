"""What a run notes of its surroundings."""

from pathlib import Path

from mmctr_kedro.running.project import Project

PROJECT = Path(__file__).parents[2]


def test_what_a_package_brings_along_inside_itself_is_no_version_of_ours(tmp_path, monkeypatch):
    before = Project(PROJECT).versions()
    vendored = tmp_path / "site-packages" / "ray" / "thirdparty_files"
    for name in ("torch", "colorama"):  # of the lock; the second is for Windows alone
        (vendored / f"{name}-99.0.dist-info").mkdir(parents=True)
        (vendored / f"{name}-99.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 99.0\n")
    monkeypatch.syspath_prepend(str(vendored))
    assert Project(PROJECT).versions() == before
