"""Signatures of what is delivered, by which a receiver tells that it came from us, whole and now."""
