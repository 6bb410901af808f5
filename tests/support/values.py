"""JSON values for hypothesis, within I-JSON."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

#: Text without lone surrogates; the interesting characters come often.
texts = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('"\\/\0\n{}[],: é😀')), max_size=12)

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**80), max_value=2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)

#: Any JSON value.
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=12,
)

#: JSON objects.
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, values, max_size=5)


def exactly(value: Any) -> str:
    """Return a text that is equal for two values only if they are equal in type as well: 1, 1.0 and true differ."""
    return repr(value)
