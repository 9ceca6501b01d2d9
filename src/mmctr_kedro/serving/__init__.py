"""A trained model that answers requests over HTTP."""
