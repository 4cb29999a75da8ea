"""The stdlib's contextvars, where gevent's users look: each coroutine has a context of its own."""

from contextvars import Context, ContextVar, Token, copy_context

__all__ = ["Context", "ContextVar", "Token", "copy_context"]
