"""Tests of several modules together, with real servers on loopback."""
