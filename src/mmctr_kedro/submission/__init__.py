"""Rules, format check, zip, bundle and verification of a submission."""
