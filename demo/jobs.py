"""The scheduled jobs, every 15 seconds: what the API needs exists, and how many users are active."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

from demo.backends import Database, Search, UnavailableError
from demo.metrics import Metrics

log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text UNIQUE NOT NULL,
    password_hash text NOT NULL,
    last_seen timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS users_last_seen ON users (last_seen);
CREATE TABLE IF NOT EXISTS articles (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL);
INSERT INTO articles
SELECT n, 'Article ' || n, 'How factory number ' || n || ' builds software.' FROM generate_series(1, 20) n
ON CONFLICT DO NOTHING;
"""
ACTIVE = "SELECT count(*) FROM users WHERE last_seen > now() - interval '15 minutes'"


def schedule(database: Database, search: Search, metrics: Metrics) -> BackgroundScheduler:
    """A scheduler with both jobs, not started; each runs at once after the start.

    The preparation repeats, so a backend that comes up late, or comes back empty, is made ready without a restart.
    """

    def prepare() -> None:
        database.rows(SCHEMA)
        search.fill(database.rows("SELECT id, title, body FROM articles ORDER BY id"))

    def count_active_users() -> None:
        metrics.active_users_gauge.set(database.rows(ACTIVE)[0][0])

    def add(job: Callable[[], None]) -> None:
        def run() -> None:
            try:
                job()
            except UnavailableError as error:
                log.warning("job %s put off: %s", job.__name__, error)

        scheduler.add_job(run, "interval", seconds=15, id=job.__name__, next_run_time=datetime.now(UTC))

    scheduler = BackgroundScheduler(timezone=UTC)
    add(prepare)
    add(count_active_users)
    metrics.scheduled_jobs_gauge.set_function(lambda: len(scheduler.get_jobs()))
    return scheduler
