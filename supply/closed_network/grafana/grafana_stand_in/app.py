"""The whole application, put together."""

from __future__ import annotations

import flask

from . import accounts, content, pages, sources
from .web import Settings, frame


def create_app(settings: Settings) -> flask.Flask:
    """The WSGI application; the database of `settings` must have been prepared (store.prepare)."""
    app = frame(settings)
    for blueprint in (accounts.api, content.api, sources.api, pages.pages):
        app.register_blueprint(blueprint)
    return app
