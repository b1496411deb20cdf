"""The image task of sections 4.1.2 and 4.1.3."""
