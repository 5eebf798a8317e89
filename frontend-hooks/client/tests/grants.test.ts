import { afterEach, beforeEach, expect, test } from "vitest";
import { ScriptedServer } from "../../testing/scripted.ts";
import { AgentflowClient } from "../src/index.ts";

let server: ScriptedServer;
let client: AgentflowClient;

beforeEach(async () => {
  server = await ScriptedServer.start();
  client = new AgentflowClient({ baseUrl: server.url });
});
afterEach(() => server[Symbol.asyncDispose]());

test("a yes stands from then on, and is given, listed and taken back by itself", async () => {
  server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) => reply.json({ id: "wp_1", outcome: "resolved", grant: "grant_1" }));
  server.on("GET /v1/grants", (_, reply) => reply.json({ grants: [{ id: "grant_1" }] }));
  server.on("POST /v1/grants", (_, reply) => reply.json({ id: "grant_2" }, 201));
  server.on("DELETE /v1/grants/grant_1", (_, reply) => reply.json({ id: "grant_1", counts: false }));
  const always = { scope: "agent", expires: "8h", max_uses: 2 } as const;
  expect((await client.waitpoints.decide("wp_1", { approved: true, always })).grant).toBe("grant_1");
  expect(server.to("POST /v1/waitpoints/wp_1/decisions")[0]?.body).toEqual({ approved: true, always });
  expect((await client.grants.list({ tool: "pay", every: true })).grants.map((one) => one.id)).toEqual(["grant_1"]);
  expect(Object.fromEntries(server.to("GET /v1/grants")[0]?.query ?? [])).toEqual({ tool: "pay", every: "true" });
  expect((await client.grants.create({ from_waitpoint: "wp_1", scope: "thread", by: "ana" })).id).toBe("grant_2");
  expect(server.to("POST /v1/grants")[0]?.body).toEqual({ from_waitpoint: "wp_1", scope: "thread", by: "ana" });
  expect((await client.grants.revoke("grant_1", { by: "ana" })).counts).toBe(false);
  expect(server.to("DELETE /v1/grants/grant_1")[0]?.headers["x-agentflow-by"]).toBe("ana");
});

test("the audit is read line by line, tells where it ends, and its refusal is an error", async () => {
  const text = '{"seq":6,"actor":"ana"}\n{"seq":7,"actor":"bo"}\n';
  server.on("GET /v1/audit", (asked, reply) =>
    asked.query.get("type") === "lock" ? reply.problem(401, "unauthorized") : reply.text(text, { "x-agentflow-audit-head": "7:ab" }),
  );
  const page = await client.audit.list({ after: 5, limit: 2 });
  expect(page).toEqual({ entries: [expect.objectContaining({ seq: 6 }), { seq: 7, actor: "bo" }], last: 7, head: "7:ab" });
  expect(await client.audit.lines()).toBe(text);
  await expect(client.audit.list({ type: "lock" })).rejects.toMatchObject({ status: 401 });
});
