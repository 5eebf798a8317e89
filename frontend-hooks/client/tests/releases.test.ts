import { expect, test } from "vitest";
import { ScriptedServer } from "../../testing/scripted.ts";
import { AgentflowClient, isRequest, type PromptBinding, type PromptRequest } from "../src/index.ts";

test("policies are set and found, and what was asked for is told from what was moved", async () => {
  await using server = await ScriptedServer.start();
  const request = { id: "req_1", status: "asked", target: { mode: "pinned", version: 5 } };
  server
    .on("POST /v1/prompts/mail/title/policies/prod", ({ body }, reply) => reply.json({ ...(body as object), prompt: "mail/title" }))
    .on("GET /v1/prompts/mail/title/policies/prod", (_, reply) => reply.json({ policy: null }))
    .on("GET /v1/prompt-policies", (_, reply) => reply.json({ policies: [] }))
    .on("GET /v1/prompts/mail/title/requests", (_, reply) => reply.json({ requests: [request] }))
    .on("GET /v1/prompt-requests/req_1", (_, reply) => reply.json(request));
  const { releases } = new AgentflowClient({ baseUrl: server.url });
  expect(await releases.setPolicy("mail/title", "prod", { people: 2, by: "ops" })).toEqual({ people: 2, by: "ops", prompt: "mail/title" });
  expect(await releases.policy("mail/title", "prod")).toEqual({ policy: null });
  expect(await releases.policies()).toEqual({ policies: [] });
  expect((await releases.requests("mail/title", { env: "prod" })).requests).toEqual([request]);
  expect(server.to("GET /v1/prompts/mail/title/requests")[0]?.query.get("env")).toBe("prod");
  const asked = (await releases.request("req_1")) as PromptBinding | PromptRequest;
  expect(isRequest(asked) && asked.status).toBe("asked");
});
