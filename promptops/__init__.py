"""Composition: settings, URLs, ASGI, the admin site. It holds no models and no rules."""

__version__ = "0.1.0"
