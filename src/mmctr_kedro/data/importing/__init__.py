"""A log of interactions as the challenge's files."""
