"""What happens around a run: every setting checked before it, a summary after it."""


class ProjectHooks:
    """Kedro hooks of the project."""
