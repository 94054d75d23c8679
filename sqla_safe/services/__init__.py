"""How a service is built from a session: any callable that takes it, or `inject`."""

from sqla_safe.services._inject import Injected, inject

__all__ = ["Injected", "inject"]
