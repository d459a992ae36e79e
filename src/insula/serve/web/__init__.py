"""The pages of the service with records: rendered here, with small scripts of our own and nothing from elsewhere."""
