"""Providers for the tests of integrations."""

from tests.traffic.fixtures import provider, scripted_provider

__all__ = ["provider", "scripted_provider"]
