"""What the secret scan lets pass: named in .secrets.baseline, called by detect-secrets."""

from __future__ import annotations

import re

# A commit in short and in full, and digests as this project writes them; a key of the same looks is caught by its name.
_DIGEST = re.compile("[0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64}")


def is_digest(secret: str, plugin: object) -> bool:
    """Whether a string looks like a digest, and nothing but its randomness made it a suspect."""
    return type(plugin).__name__ == "HexHighEntropyString" and _DIGEST.fullmatch(secret) is not None
