/** Prompts of the real server, which the test in Python starts: AGENTFLOW_URL says where. */

import { describe, expect, test } from "vitest";
import { AgentflowClient, type PromptBody } from "../src/index.ts";

const url = process.env.AGENTFLOW_URL ?? "";
const { prompts } = new AgentflowClient({ baseUrl: url });
/** A name with a slash, and with what has to be escaped in an address. */
const NAME = "mail/good day?";
const body = (text: string): PromptBody => ({ messages: [{ role: "user", content: text }] });
const contract = { properties: { name: { type: "string" } }, required: ["name"] };

describe.skipIf(!url)("with a real server", () => {
  test("a prompt is saved, looked at, compared, released for what was seen, and rolled back", async () => {
    const first = await prompts.save(NAME, { body: body("Good day, {{name}}."), contract });
    expect((await prompts.save(NAME, { body: body("Hi {{name}}!"), note: "shorter", by: "maria" })).number).toBe(2);
    expect((await prompts.versions(NAME)).versions.map((one) => one.note)).toEqual(["shorter", ""]);
    expect((await prompts.version(NAME, first.hash)).number).toBe(1);
    expect((await prompts.list()).prompts.map((one) => one.name)).toContain(NAME);
    expect((await prompts.lint(NAME, body("{{nmae}}"))).findings[0]).toMatchObject({ where: "message 1 (user)", column: 1, wrong: true });
    expect((await prompts.render(NAME, { version: 2, variables: { name: "Ada" } })).messages).toEqual([
      { role: "user", content: "Hi Ada!" },
    ]);
    expect((await prompts.diff(NAME, 1, "v2")).same).toBe(false);
    expect((await prompts.diffBody(NAME, { before: 1, body: body("Hi {{name}}!") })).after).toBe(2);

    const binding = { env: "prod", rev: 0 };
    expect(await prompts.move(NAME, binding, { version: 1, reason: "the first" })).toMatchObject({ version: 1, rev: 1 });
    await expect(prompts.move(NAME, binding, { version: 2 })).rejects.toMatchObject({ code: "version_conflict", status: 409 });
    await prompts.move(NAME, { env: "prod", rev: 1 }, { version: 2 });
    expect((await prompts.snapshot()).bindings.find((one) => one.prompt === NAME)?.version).toBe(2);
    expect((await prompts.rollback(NAME, { env: "prod" }, { reason: "no" })).version).toBe(1);
    expect((await prompts.protect(NAME, { env: "prod" })).protected).toBe(true);
    expect((await prompts.get(NAME)).live?.version).toBe(1);

    expect((await prompts.revoke(NAME, 2, { policy: "repin:1", reason: "it leaks" })).revoke_policy).toBe("repin:1");
    expect((await prompts.events(NAME, { after: 2 })).events.map((one) => one.type).at(-1)).toBe("version.revoked");
    expect(await prompts.pins(NAME)).toEqual({ pins: [] });
    expect(await prompts.upgrade(NAME, { thread: "nobody" })).toEqual({ upgraded: false });
    expect((await prompts.generations(NAME)).generations).toEqual([]);
    expect((await prompts.metrics(NAME)).metrics).toEqual([]);
    await expect(prompts.generation(NAME, "gen_0")).rejects.toMatchObject({ status: 404 });
    await expect(prompts.repin(NAME, { run: "run_nobody", version: 1 })).rejects.toMatchObject({ status: 404 });
  });

  test("a request that is given up is given up", async () => {
    const signal = AbortSignal.abort();
    await expect(prompts.lint(NAME, body("x"), { signal })).rejects.toThrow(/abort/i);
  });
});
