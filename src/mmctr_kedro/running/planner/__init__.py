"""Which results are stale, and why: nodes run again when what made their results has changed. See docs/planner.md.

``sources`` and ``contents`` say what code and data are, ``plan`` compares that with what was recorded, and ``recorder``
records every run and has the runner of ``kedro update``.
"""
