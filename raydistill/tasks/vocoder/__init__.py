"""The vocoder task of section 4.1.4."""
