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

test("several calls of one turn are decided at once, and the same key is the same request", async () => {
  const results = [{ id: "wp_1", outcome: "resolved", waitpoint: null, problem: null }];
  server.on("POST /v1/waitpoints/decisions", (_, reply) => reply.json({ results }));
  const decisions = [{ id: "wp_1", approved: true, seen_digest: "sha256:1" }];
  expect(await client.waitpoints.decideMany(decisions, { mode: "each", by: "ana", idempotencyKey: "k" })).toEqual({ results });
  const [asked] = server.to("POST /v1/waitpoints/decisions");
  expect(asked?.body).toEqual({ decisions, mode: "each", by: "ana" });
  expect(asked?.headers["idempotency-key"]).toBe("k");
});

test("a call is denied and its run stopped", async () => {
  server.on("POST /v1/waitpoints/wp_1/decisions", (_, reply) => reply.json({ id: "wp_1", outcome: "resolved" }));
  expect((await client.waitpoints.stop("wp_1", { reason: "no", by: "ana", seen: "sha256:1", idempotencyKey: "k" })).outcome).toBe(
    "resolved",
  );
  const [asked] = server.to("POST /v1/waitpoints/wp_1/decisions");
  expect(asked?.body).toEqual({ approved: false, stop: true, reason: "no", by: "ana", seen_digest: "sha256:1" });
  expect(asked?.headers["idempotency-key"]).toBe("k");
});

test("people are reminded, and what became of each message is told", async () => {
  server.on("POST /v1/waitpoints/wp_1/remind", (_, reply) => reply.json({ id: "wp_1" }));
  server.on("GET /v1/waitpoints/wp_1/deliveries", (_, reply) => reply.json({ deliveries: [] }));
  expect((await client.waitpoints.remind("wp_1", { by: "ana" })).id).toBe("wp_1");
  expect(await client.waitpoints.deliveries("wp_1")).toEqual({ deliveries: [] });
  expect(server.to("POST /v1/waitpoints/wp_1/remind")[0]?.body).toEqual({ by: "ana" });
});
