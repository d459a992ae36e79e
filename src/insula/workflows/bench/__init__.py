"""The planted-fault bench: cohorts with one fault each, and whether check, leaks, evaluate and audit name it."""
