"""Every reader of files that a user can hand in, on damaged files: a clear error or a reading."""
