"""Scripts that travel with an export, as they stand here; each runs in the folder it is copied to."""
