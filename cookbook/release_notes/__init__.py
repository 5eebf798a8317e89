"""An agent that drafts the release notes of a git repository, is killed half-way, and goes on."""
