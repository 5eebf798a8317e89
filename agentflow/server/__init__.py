"""Runs over HTTP: an ASGI app, and uvicorn around it."""

from agentflow.server.asgi import create_asgi
from agentflow.server.serve import serve

__all__ = ["create_asgi", "serve"]
