"""Made patients with known truth."""
