"""Students: models that turn noise z into x in one parallel pass."""
