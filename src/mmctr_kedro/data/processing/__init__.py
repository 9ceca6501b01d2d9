"""Raw challenge files, checked and made into contracts."""
