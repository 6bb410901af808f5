"""Databases of older releases: their tables, odd rows in them, the releases themselves, and what must become of it."""
