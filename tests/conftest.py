"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import settings

# A busy machine may stall any example; a deadline would report that as a defect.
settings.register_profile("agentflow", deadline=None)
settings.load_profile("agentflow")
