"""Jobs that use both wings: the demo, cross-validation."""
