"""Random expressions and events, on which what matches here is held against what `jsonpath2` finds."""
