"""The service with a commit for each event and every request through CherryPy: what group commit is compared with.

`python -m benchmarks.commit_each ...` is `pacifica-notifications ...`; a WSGI server finds `application` here.
"""

from __future__ import annotations

from pacifica.notifications import embedded, intake, orm
from pacifica.notifications.errors import Unavailable


class _Each:
    """Stores in the thread of the request."""

    def store(self, new: orm.NewEvent, _size: int) -> orm.Stored:
        """Store one event in a transaction of its own."""
        try:
            with orm.session():
                return orm.EventLog.store_all([new])[0]
        except Unavailable:
            with orm.session():
                return orm.EventLog.store_all([new])[0]


intake.writer = lambda _settings: _Each()  # type: ignore[assignment, return-value]
embedded.Door = lambda behind, mounted: behind  # type: ignore[assignment, misc]

if __name__ == "__main__":
    from pacifica.notifications.__main__ import main_script

    main_script()
else:
    from pacifica.notifications.wsgi import application as application
