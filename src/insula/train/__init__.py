"""Training: data, augmentation, the Lightning module, the run. Training wing."""
