"""What a sweep will do, decided before any of it is done: settings, trials, assets. No Ray here."""
