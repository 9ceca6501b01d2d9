"""What runs the project: lock, planner, settings, the tree it runs from."""
