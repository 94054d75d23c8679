"""Integrations: one module per framework, each of which imports only its own."""
