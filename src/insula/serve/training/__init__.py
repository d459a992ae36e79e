"""Training runs as their folders show them: read alone, since training itself is not of this wing."""
