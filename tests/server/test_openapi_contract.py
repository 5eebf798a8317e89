"""Every operation is asked what its description allows and what it forbids: no answer is a defect or one that is not described."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
import schemathesis.specs.openapi.checks as openapi_checks
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.server.bearers import bearer

KEY = "k" * 32
KEYED = {"Authorization": f"Bearer {KEY}"}
FEW = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    deadline=None,
)
_CHECKS: Any = openapi_checks
NAMES, CURSORS, VERSIONS, TOGETHER = "what may be a name", "cursors", "what names a version", "which fields go together"
REVS = "If-Match names a rev"
FUSSY = {
    "GET /v1/threads": CURSORS,
    "POST /v1/threads/{id}/messages": NAMES,
    "POST /v1/threads/{id}/stop": NAMES,
    "POST /v1/threads/{id}/regenerate": NAMES,
    "POST /v1/threads/{id}/fork": NAMES,
    "POST /v1/callbacks/{id}/{secret}": "no body is sent where the schema says anything",
    "POST /v1/grants": TOGETHER,
    "POST /ai/chat": "the last message is a person's, or answers a question",
    "POST /v1/runs/{id}/reschedule": TOGETHER,
    "GET /v1/runs/{id}/stream": CURSORS,
    "POST /v1/streams": "types of events",
    "GET /v1/runs/{id}/events": CURSORS,
    "POST /v1/runs/{id}/inputs/{name}": NAMES,
    "GET /v1/waitpoints": TOGETHER,
    "POST /v1/waitpoints": "durations",
    "POST /v1/waitpoints/{id}/decisions": TOGETHER,
    "POST /v1/waitpoints/{id}/links": "a key has to say for whom, a token need not",
    "POST /v1/waitpoints/{id}/reassign": TOGETHER,
    "POST /v1/tokens": "scopes",
    "POST /v1/prompts/{name}/versions": TOGETHER,
    "GET /v1/prompts/{name}/versions/{version}": VERSIONS,
    "POST /v1/prompts/{name}/versions/{version}/revoke": VERSIONS,
    "GET /v1/prompts/{name}/diff": VERSIONS,
    "POST /v1/prompts/{name}/render": TOGETHER,
    "POST /v1/prompts/{name}/repin": VERSIONS,
    "POST /v1/prompts/{name}/bindings/{env}/{label}": TOGETHER,
    "POST /v1/prompts/{name}/bindings/{env}/{label}/rollback": REVS,
    "POST /v1/prompts/{name}/bindings/{env}/{label}/protect": REVS,
    "POST /v1/prompt-import": "bytes that are a tar",
    "DELETE /v1/prompts/{name}/versions/{version}": VERSIONS,
    "POST /v1/prompts/{name}/diff": TOGETHER,
    "GET /v1/prompts/{name}/generations": CURSORS,
    "GET /v1/prompts/{name}/metrics": "durations",
    "POST /v1/prompts/{name}/policies/{env}": TOGETHER,
    "GET /agui/{agent}/{thread}/stream": "this test asks it for a stream that ends, as no client does",
}
"""Operations that refuse more than a schema says, each with what they refuse. All others take whatever fits their description."""


@schemathesis.serializer("application/x-tar")
def archived(_: Any, value: Any) -> bytes:
    """What is sent as an archive: here it never is one."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


class Shop:
    """A server in a process of its own, with a run that waits for a person."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self._count = itertools.count()
        with httpx.Client(base_url=url, headers=bearer(KEY)) as client:
            self.run = client.post("/v1/runs", json={"task": "publish", "payload": {"draft": "text"}}).json()["id"]
            while (found := client.get(f"/v1/runs/{self.run}").json())["status"] != "waiting":
                pass
        self.waitpoint = found["waiting"][0]["id"]
        self.schema: Any = schemathesis.openapi.from_url(f"{url}/v1/openapi.json", headers=bearer(KEY))
        # What a question has become meanwhile is no matter of what fits.
        self.schema.config.checks.positive_data_acceptance.expected_statuses += ["410", "412"]

    def look(self, case: Any) -> None:
        """Ask, and look at the answer: every other time about what there is."""
        named: dict[str, Any] = case.path_parameters or {}
        query: dict[str, Any] = case.query or {}
        real = self.waitpoint if "/waitpoints/" in case.path else self.run if "/runs/" in case.path else None
        if "id" in named and real is not None and next(self._count) % 2:
            named["id"] = real
        if any(isinstance(one, dict) for one in query.values()) or "\\x00" in repr((query, case.body, named)):
            # The one is sent as parameters of other names, or as none at all; a NUL is refused everywhere, and no schema says so.
            reject()
        if case.path.endswith("/stream"):
            case.query = {**query, "live": "0"}
        if case.path == "/v1/streams" and hasattr(case.body, "keys"):
            case.body["live"] = False
        fussy = [_CHECKS.positive_data_acceptance] if f"{case.method} {case.path}" in FUSSY else []
        case.call_and_validate(base_url=self.url, headers=KEYED, session=self.session, timeout=20, excluded_checks=fussy)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    command = (sys.executable, "-m", "tests.server.shop", str(folder), "127.0.0.1", "0", KEY)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = Shop(process.stdout.readline().strip())
            yield found
            found.session.close()
        finally:
            process.terminate()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_the_answer_is_one_that_is_described(shop: Shop, mode: GenerationMode) -> None:
    asked = 0
    for found in shop.schema.get_all_operations():
        operation: Any = found.ok()
        # What takes nothing cannot be asked wrongly.
        with contextlib.suppress(Unsatisfiable):
            FEW(given(operation.as_strategy(generation_mode=mode))(shop.look))()
            asked += 1
    assert asked > 40
    assert {one.ok().label for one in shop.schema.get_all_operations()} >= FUSSY.keys()
