"""A running sweep, seen from anywhere that can read its folder or bucket; imports no Ray."""
