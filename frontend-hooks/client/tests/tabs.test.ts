import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Asked, type Reply, ScriptedServer } from "../../testing/scripted.ts";
import { TALK } from "../../testing/talk.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient, type Run, RunFold, type RunView } from "../src/index.ts";

const STREAM = "GET /v1/runs/run_1/stream";
let server: ScriptedServer;
let user: string;

beforeEach(async () => {
  server = await ScriptedServer.start();
  user = crypto.randomUUID();
});
afterEach(() => server[Symbol.asyncDispose]());

const tab = (shareTabs = user) => new AgentflowClient({ baseUrl: server.url, shareTabs });
const isLook = ({ query }: Asked) => query.get("live") === "0";
const place = (asked: Asked) => TALK.findIndex(({ id }) => id === asked.headers["last-event-id"]) + 1;
const whole = (): RunView => {
  const fold = new RunFold("run_1");
  for (const entry of TALK) fold.apply(entry);
  return fold.view();
};

/** The streams that tabs open, one after the other; looks are answered with the first `past` events. */
function streams(past: number): Reply[] {
  const open: Reply[] = [];
  server.on(STREAM, (asked, reply) => {
    reply.stream().tell(...TALK.slice(place(asked), Math.max(past, place(asked))));
    if (isLook(asked)) reply.end();
    else open.push(reply.say({ type: "sync.live", cursor: TALK[past - 1]?.id }));
  });
  return open;
}
const opened = () => server.to(STREAM).filter((asked) => !isLook(asked)).length;

test("seven tabs read one stream, and all know the same", async () => {
  const [past, open] = [5, streams(5)];
  const stores = Array.from({ length: 7 }, () => tab().watch("run_1"));
  const closes = stores.map((store) => store.open());
  await Promise.all(
    stores.map((store) => until(store, ({ view, connection }) => view.cursor === TALK[past - 1]?.id && connection === "live")),
  );
  open[0]?.tell(...TALK.slice(past));
  for (const store of stores) expect((await until(store, ({ connection }) => connection === "ended")).view).toEqual(whole());
  expect(opened()).toBe(1);
  for (const close of closes) close();
});

test("when the tab that reads is closed, another goes on where it is", async () => {
  const open = streams(5);
  const [first, second] = [tab().watch("run_1"), tab().watch("run_1")];
  first.open();
  await until(first, ({ connection }) => connection === "live");
  const close = second.open();
  await until(second, ({ view, connection }) => view.cursor === TALK[4]?.id && connection === "live");
  open[0]?.tell(...TALK.slice(5, 8));
  await until(second, ({ view }) => view.cursor === TALK[7]?.id);
  first.detach();
  await vi.waitFor(() => expect(open).toHaveLength(2), 5_000);
  open[1]?.tell(...TALK.slice(8));
  expect((await until(second, ({ connection }) => connection === "ended")).view).toEqual(whole());
  expect(server.to(STREAM).at(-1)?.headers["last-event-id"]).toBe(TALK[7]?.id);
  close();
});

test("tabs of somebody else share nothing", async () => {
  streams(5);
  const stores = [tab("maria").watch("run_1"), tab("paul").watch("run_1")];
  const closes = stores.map((store) => store.open());
  await Promise.all(stores.map((store) => until(store, ({ connection }) => connection === "live")));
  expect(opened()).toBe(2);
  for (const close of closes) close();
});

test("what one tab is refused, every tab is told by the server itself", async () => {
  server.on(STREAM, (_, reply) => reply.problem(404, "run_not_found"));
  const stores = [tab().watch("run_1"), tab().watch("run_1")];
  for (const store of stores) store.open();
  for (const store of stores) expect((await until(store, ({ connection }) => connection === "error")).failure?.code).toBe("run_not_found");
});

test("a list is shared, too", async () => {
  const run = (id: string) => ({ id, status: "running" }) as Run;
  const open: Reply[] = [];
  server.on("GET /v1/index/stream", (asked, reply) => {
    reply.stream().say({ type: "sync.snapshot", reset: true, runs: [run("a")] });
    if (isLook(asked)) reply.end();
    else open.push(reply);
  });
  const indexes = [tab().index({ tag: "vip" }), tab().index({ tag: "vip" })];
  const closes = indexes.map((index) => index.open());
  await Promise.all(indexes.map((index) => until(index, ({ loaded, connection }) => loaded && connection === "live")));
  open[0]?.say({ type: "run.changed", run: run("b") });
  await Promise.all(indexes.map((index) => until(index, ({ runs }) => runs.map(({ id }) => id).join() === "b,a")));
  expect(open).toHaveLength(1);
  for (const close of closes) close();
});
