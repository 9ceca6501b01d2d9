"""What every room uses: errors, whole files, seals, settings."""
