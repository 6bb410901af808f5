"""What ``explain`` and ``hints`` are made of: a walk that keeps its places, and words for what it found.

``walk`` follows a path through an event and knows where it is (``places``); ``findings`` are what became of a condition
and its parts, ``misses`` say why a way ended. ``knowledge`` is what holds for every event, ``contradictions`` what no
event can be. ``wording`` writes the parts of an expression. Nothing of it runs when events are matched.
"""
