/** Streams of one's own on the real server, which the test in Python starts: AGENTFLOW_URL says where. */

import { describe, expect, test } from "vitest";
import { CuttingProxy } from "../../testing/cutting-proxy.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient } from "../src/index.ts";

const url = process.env.AGENTFLOW_URL ?? "";

describe.skipIf(!url)("with a real server", () => {
  test("items are appended, read back as they came, and again and again over a connection that is cut", async () => {
    const path = `notes/${crypto.randomUUID()}`;
    const writer = new AgentflowClient({ baseUrl: url }).stream<unknown>(path);
    const missing = writer.open();
    expect((await until(writer, ({ connection }) => connection === "error")).failure?.status).toBe(404);
    await writer.create({ ttl: 60 });
    const items = [{ text: " é🎉\n" }, [1, 2], "three", 4, null];
    for (const item of items) await writer.append(item);
    expect((await until(writer, (now) => now.items.length === items.length)).items).toEqual(items);
    await using proxy = await CuttingProxy.start(url, [30, 200, 90]);
    const reader = new AgentflowClient({ baseUrl: proxy.url }).stream<unknown>(path);
    const close = reader.open();
    expect((await until(reader, (now) => now.items.length === items.length)).items).toEqual(items);
    close();
    missing();
  });
});
