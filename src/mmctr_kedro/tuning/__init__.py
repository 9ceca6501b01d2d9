"""Settings that are found: a search over what a CTR model is trained with."""
