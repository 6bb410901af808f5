"""Takes CloudEvents in, finds the subscriptions that match, delivers, and keeps a log of every decision."""
