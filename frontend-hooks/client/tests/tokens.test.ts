/** Browser tokens of the real server, which the test in Python starts with an API key: AGENTFLOW_GUARDED_URL and AGENTFLOW_KEY say where. */

import { describe, expect, test } from "vitest";
import { until } from "../../testing/until.ts";
import { AgentflowClient } from "../src/index.ts";

const url = process.env.AGENTFLOW_GUARDED_URL ?? "";
const key = process.env.AGENTFLOW_KEY ?? "";

describe.skipIf(!url)("with a real server that has a key", () => {
  const server = new AgentflowClient({ baseUrl: url, token: key });

  test("a page whose token may only start a task follows the run that it has started, and no other", async () => {
    const { token, expires_at } = await server.tokens.create(["task:start:talk"], { subject: "user:maria", expires: "10m" });
    expect(expires_at).toBeGreaterThan(Date.now() + 500_000);
    const page = new AgentflowClient({ baseUrl: url, token });
    const run = await page.runs.start("talk");
    const store = page.watch(run.id);
    store.open();
    const { view, failure } = await until(store, ({ connection }) => connection === "ended" || connection === "error");
    expect([view.status, failure]).toEqual(["completed", null]);
    const other = await server.runs.start("talk");
    await expect(page.runs.get(other.id)).rejects.toMatchObject({ status: 403 });
  });

  test("a page without a token is told what is missing", async () => {
    const page = new AgentflowClient({ baseUrl: url });
    await expect(page.runs.list()).rejects.toMatchObject({ status: 401, hint: expect.stringMatching(/.+/) });
  });

  test("a token that was refused is asked for anew, and the stream goes on", async () => {
    const { id } = await server.runs.start("talk");
    const reasons: string[] = [];
    const getToken = async (reason: string) => {
      reasons.push(reason);
      return reason === "start" ? "stale" : (await server.tokens.create([`run:read:${id}`])).token;
    };
    const store = new AgentflowClient({ baseUrl: url, getToken }).watch(id);
    store.open();
    expect((await until(store, ({ connection }) => connection === "ended")).view.status).toBe("completed");
    expect(reasons).toEqual(["start", "refused"]);
  });

  test("a ticket is good for one run", async () => {
    const { id } = await server.runs.start("talk");
    const { ticket } = await server.tokens.ticket(id);
    const answer = await fetch(`${url}/v1/runs/${id}/stream?ticket=${ticket}`);
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
  });
});
