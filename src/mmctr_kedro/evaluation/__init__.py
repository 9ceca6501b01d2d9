"""What a model or an embedding is worth."""
