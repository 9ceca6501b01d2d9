"""The simulated world: items, users, clicks and covers as a challenge data set. See docs/world.md."""
