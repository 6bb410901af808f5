"""Lines that are written to the log at once."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from pacifica.notifications.delivery import lines


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Give a logger of its own whose lines go nowhere else."""
    made = logging.getLogger("lines")
    made.setLevel(logging.INFO)
    made.propagate = False
    yield made
    made.filters.clear()
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


class Writes(StringIO):
    """Counts how often it is written to."""

    count = 0

    def write(self, text: str) -> int:
        """Count it."""
        self.count += 1
        return super().write(text)


def test_each_line_is_whole(logger: logging.Logger) -> None:
    """Every line has what its format wants, and says where it was logged, but few writes are made for all of them."""
    handler = logging.StreamHandler(Writes())
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(filename)s %(funcName)s %(message)s"))
    logger.addHandler(handler)

    lines.write(logger, logging.INFO, "n=%s", [(number,) for number in range(5)])

    begin = "INFO lines test_lines.py test_each_line_is_whole"
    assert handler.stream.getvalue() == "".join(f"{begin} n={number}\n" for number in range(5))
    assert handler.stream.count == 2


def test_levels_and_filters_hold(logger: logging.Logger) -> None:
    """What a level or a filter keeps back, of the logger or of a handler, is not written."""
    every, high, some = (logging.StreamHandler(StringIO()) for _ in range(3))
    high.setLevel(logging.WARNING)
    some.addFilter(lambda record: record.args != (2,))
    logger.addFilter(lambda record: record.args != (0,))
    for handler in (every, high, some):
        logger.addHandler(handler)

    lines.write(logger, logging.INFO, "%s", [(0,), (1,), (2,), (3,)])
    lines.write(logger, logging.DEBUG, "%s", [(4,)])

    assert [handler.stream.getvalue() for handler in (every, high, some)] == ["1\n2\n3\n", "", "1\n3\n"]


def test_a_file_that_was_moved_is_followed(logger: logging.Logger, tmp_path: Path) -> None:
    """Where the log is a file that somebody moves away, the next lines are in a new one, all of them."""
    file = tmp_path / "log"
    logger.addHandler(logging.handlers.WatchedFileHandler(file))
    lines.write(logger, logging.INFO, "%s", [(1,), (2,)])
    file.rename(tmp_path / "old")

    lines.write(logger, logging.INFO, "%s", [(3,), (4,)])

    assert ((tmp_path / "old").read_text(), file.read_text()) == ("1\n2\n", "3\n4\n")


def test_any_other_handler_is_asked_line_by_line(logger: logging.Logger) -> None:
    """A handler that does more than write gets every line by itself."""
    got = []

    class Own(logging.StreamHandler[StringIO]):
        def emit(self, record: logging.LogRecord) -> None:
            """Keep it."""
            got.append(record.getMessage())

    logger.addHandler(Own(StringIO()))

    lines.write(logger, logging.INFO, "%s", [(1,), (2,), (3,)])

    assert got == ["1", "2", "3"]
