"""Which results are stale, and why: nodes run again when what made their results has changed. See docs/planner.md.

``sources`` and ``contents`` say what code and data are, ``plan`` compares that with what was recorded, ``recorder``
records every run, and ``runner`` is what ``kedro update`` runs with.
"""
