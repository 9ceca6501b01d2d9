"""From the challenge's files, or a log of interactions, to clicks and item content."""
