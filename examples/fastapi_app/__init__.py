"""Wallets behind FastAPI: a small service that shows how sqla_safe and FastAPI go together."""
