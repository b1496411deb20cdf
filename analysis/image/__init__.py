"""The image task's claims, figures and page."""
