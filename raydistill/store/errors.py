"""What can be wrong with a storage path."""


class StorageError(OSError):
    """A storage path cannot be used; the message names it and the remedy."""


class SupersededError(Exception):
    """Somebody else has written a file that was this process's alone to replace."""
