"""The audit and review links at the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call, Start, as_json


def test_a_link_is_made_and_the_audit_is_exported_and_verified(folder: Path, start: Start, run: Call) -> None:
    worker = start("worker", "shop.py")
    worker.until("stop ")
    run_id = run("start", "refund", "--payload", '{"order_id": "o-1"}').stdout.strip()
    for _ in range(500):
        if as_json(run("approvals", "list", "--json")):
            break
    made = as_json(run("approvals", "link", run_id, "--actor", "maria", "--expires", "1h", "--by", "boss", "--json"))
    assert (made["path"].startswith("/w/"), made["url"]) == (True, None)
    told = run("approvals", "link", run_id, "--actor", "otto")
    assert ("/w/" in told.stdout, "AGENTFLOW_PUBLIC_URL" in told.stdout.replace("\n", "")) == (True, True)
    run("approve", run_id, "--by", "maria")
    exported = run("audit", "export").stdout
    lines = [json.loads(one) for one in exported.splitlines()]
    assert [(one["type"], one["actor"]) for one in lines[:1]] == [("link", "boss")]
    assert [(one["type"], one["actor"]) for one in lines[2:]] == [("decision", "maria")]
    whole = as_json(run("audit", "verify", "--json"))
    assert (whole["rows"], whole["broken"]) == (3, None)
    file = folder / "audit.jsonl"
    file.write_text(exported)
    assert "3 entries hold" in run("audit", "verify", str(file), "--head", whole["head"]).stdout
    file.write_text("".join(one + "\n" for one in exported.splitlines()[:2]))
    cut = run("audit", "verify", str(file), "--head", whole["head"])
    assert (cut.exit_code, "entry 3 is broken" in cut.stdout) == (1, True)
    file.write_text(exported.replace('"maria"', '"zoe"'))
    assert (run("audit", "verify", str(file)).exit_code, run("audit", "verify", str(file), "--head", "3:x").exit_code) == (1, 2)
    wrong = run("audit", "verify", "--head", f"3:{'0' * 64}")
    assert (wrong.exit_code, "entry 3 is broken" in wrong.stdout) == (1, True)
