"""The only rooms that know Ray."""
