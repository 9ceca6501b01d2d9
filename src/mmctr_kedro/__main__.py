"""``mmctr_kedro`` and ``python -m mmctr_kedro``: the project's commands, in a project's folder or outside of one."""

import os
from pathlib import Path
from typing import Any


def main(*arguments: Any, **more: Any) -> Any:
    """Do what the command line says, or, as Kedro's deployments call it, a list such as ``["--pipeline", "task2"]``."""
    package = Path(__file__).parent
    os.environ.setdefault("DO_NOT_TRACK", "1")  # as .telemetry says in the project
    if not Path("conf/logging.yml").is_file():  # outside a project, where Kedro would log every step
        # It is read when Kedro is imported.
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(package / "template" / "conf" / "logging.yml"))
    from kedro.framework.project import configure_project
    from kedro.framework.startup import bootstrap_project
    from kedro.utils import find_kedro_project

    from mmctr_kedro.cli import commands

    project = find_kedro_project(Path.cwd())
    if project and f'package_name = "{package.name}"' in (project / "pyproject.toml").read_text():
        bootstrap_project(project)  # with the modules of its src/
    else:
        configure_project(package.name)
    return commands(*arguments, **more)


if __name__ == "__main__":
    main()
