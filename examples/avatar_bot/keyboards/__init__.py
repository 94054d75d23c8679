"""Inline keyboards and the callback data of their buttons."""
