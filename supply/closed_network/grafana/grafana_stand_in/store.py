"""What the stand-in keeps: one SQLite file in Grafana's data folder, and the passwords in it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT UNIQUE NOT NULL, email TEXT NOT NULL, name TEXT NOT NULL,
    password TEXT NOT NULL, role TEXT NOT NULL, is_admin INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS login_attempt (login TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS session (key TEXT PRIMARY KEY, user_id INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS service_account (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, role TEXT NOT NULL,
    is_disabled INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS token (
    id INTEGER PRIMARY KEY AUTOINCREMENT, service_account_id INTEGER NOT NULL, name TEXT NOT NULL,
    key TEXT UNIQUE NOT NULL, created REAL NOT NULL, expires REAL);
CREATE TABLE IF NOT EXISTS folder (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT UNIQUE NOT NULL, title TEXT NOT NULL, parent TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1, created TEXT NOT NULL, updated TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dashboard (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT UNIQUE NOT NULL, title TEXT NOT NULL, folder TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1, created TEXT NOT NULL, updated TEXT NOT NULL, model TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS data_source (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT UNIQUE NOT NULL, name TEXT UNIQUE NOT NULL,
    is_default INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 1,
    body TEXT NOT NULL, secure TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS annotation (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dashboard TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS preference (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Store:
    """One open database; a request opens its own, so that SQLite's locks and transactions do the ordering."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self.db.row_factory = sqlite3.Row

    def all(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, args).fetchall()

    def one(self, sql: str, *args: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(sql, args).fetchone()
        return row

    def run(self, sql: str, *args: Any) -> int:
        """Execute and return the last inserted row id."""
        return self.db.execute(sql, args).lastrowid or 0

    def count(self, table: str) -> int:
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # names of this file only

    def begin(self) -> None:
        """Take the write lock now: read-check-write of two requests must not interleave."""
        self.db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        if self.db.in_transaction:
            self.db.execute("COMMIT")

    def close(self) -> None:
        """Roll an unfinished transaction back, and close."""
        self.db.close()


def prepare(path: Path, admin: str, password: str) -> bool:
    """Create the database where there is none, with its administrator; True where it was created now.

    An existing database keeps its users: as with Grafana, the configured password counts only once.
    """
    path.touch(mode=0o640, exist_ok=True)
    store = Store(path)
    try:
        store.db.execute("PRAGMA journal_mode=WAL")
        store.db.executescript(SCHEMA)
        if store.count("user"):
            return False
        store.run(
            "INSERT INTO user (login, email, name, password, role, is_admin) VALUES (?, ?, '', ?, 'Admin', 1)",
            admin,
            f"{admin}@localhost",
            hash_password(password),
        )
        return True
    finally:
        store.close()


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_scrypt(password, salt).hex()}"


_hashing = threading.Lock()  # one hash takes 16 MB; eight at once would be most of the container's memory


def _scrypt(password: str, salt: bytes) -> bytes:
    with _hashing:
        return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


_PROCESS_KEY = secrets.token_bytes(32)
_verified: dict[str, bytes] = {}


def check_password(password: str, stored: str) -> bool:
    """Compare with a stored hash.

    Basic authentication sends the password with each call, and scrypt is slow on purpose: a password that was
    right once is remembered under a key that lives only in this process.
    """
    quick = hmac.digest(_PROCESS_KEY, password.encode(), "sha256")
    if hmac.compare_digest(_verified.get(stored, b""), quick):
        return True
    salt, expected = stored.split(":")
    if not hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), expected):
        return False
    _verified[stored] = quick
    return True


def set_password(store: Store, user_id: int, password: str) -> None:
    """Store a new password; open sessions and counted failures of the user end with the old one."""
    store.run("UPDATE user SET password = ? WHERE id = ?", hash_password(password), user_id)
    store.run("DELETE FROM session WHERE user_id = ?", user_id)
    store.run("DELETE FROM login_attempt WHERE login = (SELECT login FROM user WHERE id = ?)", user_id)


def fingerprint(token: str) -> str:
    """Tokens and session keys are long and random: one SHA-256 keeps them out of the file."""
    return hashlib.sha256(token.encode()).hexdigest()


def timestamp() -> str:
    """Now, as Grafana writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
