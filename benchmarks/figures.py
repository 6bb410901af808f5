"""Figures: what was reached, what is wanted, how it was measured; and the table of them in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure: its value in each round, and the least or the most that is wanted of their median, if anything is.

    `exceeds`: the time was up before the end, so that the true value is higher.
    """

    text: str
    values: Sequence[float]
    unit: str
    how: str
    least: float | None = None
    most: float | None = None
    digits: int = 1
    exceeds: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the median is what is wanted, None where nothing is."""
        if self.least is None and self.most is None:
            return None
        median = statistics.median(self.values)
        if self.most is not None and (self.exceeds or median > self.most):
            return False
        return self.least is None or median >= self.least

    @property
    def value(self) -> str:
        """The median, with the lowest and the highest value of several rounds."""
        shown = f"{'over ' if self.exceeds else ''}{self._said(statistics.median(self.values))}{self.unit}"
        if len(self.values) > 1:
            shown += f" ({self._said(min(self.values))} to {self._said(max(self.values))})"
        return shown

    @property
    def wanted(self) -> str:
        """What is wanted, and whether it was reached."""
        if self.reached is None:
            return ""
        bound = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        return f"{bound}{self.unit}: {'reached' if self.reached else '**not reached**'}"

    def _said(self, value: float) -> str:
        return f"{value:,.{self.digits}f}"


def table(figures: Iterable[Figure]) -> str:
    """Give the figures as a table."""
    lines = ["| figure | reached | wanted | how |", "|---|---|---|---|"]
    lines += [f"| {figure.text} | {figure.value} | {figure.wanted} | {figure.how} |" for figure in figures]
    return "\n".join(lines)


def ratios(values: Iterable[float], bases: Iterable[float]) -> list[float]:
    """Give how many times its base each value is, round by round."""
    return [value / base for value, base in zip(values, bases, strict=True)]
