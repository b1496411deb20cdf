"""Trackers that a sweep's records are copied to; they read records, and no trial knows of them."""
