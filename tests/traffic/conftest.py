"""The provider fixtures for the tests of the provider itself."""

from tests.traffic.fixtures import provider, scripted_provider

__all__ = ["provider", "scripted_provider"]
