// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ScriptedServer } from "../../testing/scripted.ts";
import { TALK } from "../../testing/talk.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient, type RunStore } from "../src/index.ts";

const STREAM = "GET /v1/runs/run_1/stream";
let server: ScriptedServer;
let store: RunStore;

beforeEach(async () => {
  server = await ScriptedServer.start();
  store = new AgentflowClient({ baseUrl: server.url }).watch("run_1");
});
afterEach(async () => {
  vi.useRealTimers();
  store.detach();
  await server[Symbol.asyncDispose]();
});

/** The page is shown or hidden, as the browser says it. */
function show(state: "visible" | "hidden"): void {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}

/** A stream that stays open and says nothing more. */
async function live(): Promise<void> {
  server.on(STREAM, (_, reply) => {
    reply
      .stream()
      .tell(...TALK.slice(0, 3))
      .say({ type: "sync.live", cursor: "1-2" });
  });
  store.open();
  await until(store, ({ connection }) => connection === "live");
}

const opened = (count: number) => vi.waitFor(() => expect(server.to(STREAM)).toHaveLength(count), 5_000);

test("a page that is online again does not wait for its turn", async () => {
  server.on(STREAM, (_, reply) => reply.problem(503, "unavailable", { "retry-after": "3600" }));
  store.open();
  await until(store, ({ connection }) => connection === "reconnecting");
  server.on(STREAM, (_, reply) =>
    reply
      .stream()
      .tell(...TALK)
      .end(),
  );
  window.dispatchEvent(new Event("online"));
  expect((await until(store, ({ connection }) => connection === "ended")).view.status).toBe("completed");
});

test("a page out of the cache of the browser opens its dead stream anew, where it was", async () => {
  await live();
  const shown = Object.assign(new Event("pageshow"), { persisted: true });
  window.dispatchEvent(shown);
  await opened(2);
  expect(server.to(STREAM)[1]?.headers["last-event-id"]).toBe("1-2");
});

test("a page that was hidden for long trusts its stream no more, and one that was hidden shortly does", async () => {
  await live();
  vi.useFakeTimers({ toFake: ["Date"] });
  show("hidden");
  vi.setSystemTime(Date.now() + 5_000);
  show("visible");
  show("hidden");
  vi.setSystemTime(Date.now() + 31_000);
  show("visible");
  await opened(2);
});
