"""The tests of pacifica.notifications."""
