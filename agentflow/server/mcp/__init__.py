"""An app's tasks and agents as tools of an MCP server: `agentflow mcp app.py`.

A call starts a run. One that ends while the client waits is answered with its result; one that goes on, or waits for a person, with its id,
and `get_run` has the rest. The SDK knows no MCP tasks (an experiment of protocol 2025-11-25, gone from 2026-07-28), and a run's id is good
in any client, after a crash and for weeks.
"""
