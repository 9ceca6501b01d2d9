"""``python -m mmctr_kedro``: the same as ``kedro run`` in this project."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the project's pipelines with the command line's arguments."""
    package = Path(__file__).parent
    os.environ.setdefault("DO_NOT_TRACK", "1")  # as .telemetry says in the project
    if not Path("conf/logging.yml").is_file():  # outside a project, where Kedro would log every step
        os.environ.setdefault("KEDRO_LOGGING_CONFIG", str(package / "logging.yml"))  # read when Kedro is imported
    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project

    configure_project(package.name)
    find_run_command(package.name)(sys.argv[1:])


if __name__ == "__main__":
    main()
