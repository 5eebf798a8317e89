"""The OpenAI client in durable tasks: each call a step, each token in the run's stream."""

from __future__ import annotations

from agentflow_openai.client import durable

__all__ = ["durable"]
