import { afterEach, beforeEach, expect, test } from "vitest";
import { type Asked, type Handler, ScriptedServer } from "../../testing/scripted.ts";
import { log, TALK } from "../../testing/talk.ts";
import { until } from "../../testing/until.ts";
import { AgentflowClient, type Entry, RunFold, type RunSnapshot, type RunView } from "../src/index.ts";

const STREAM = "GET /v1/runs/run_1/stream";
let server: ScriptedServer;

beforeEach(async () => {
  server = await ScriptedServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const client = (options: Partial<ConstructorParameters<typeof AgentflowClient>[0]> = {}) =>
  new AgentflowClient({ baseUrl: server.url, ...options });
const ended = ({ connection }: RunSnapshot) => connection === "ended";
const failed = ({ connection }: RunSnapshot) => connection === "error";
const folded = (entries: readonly Entry[]): RunView => {
  const fold = new RunFold("run_1");
  for (const entry of entries) fold.apply(entry);
  return fold.view();
};
const after = (asked: Asked): readonly Entry[] => {
  const place = TALK.findIndex(({ id }) => id === asked.headers["last-event-id"]);
  return TALK.slice(place + 1);
};
const script = (...handlers: readonly Handler[]): Handler => {
  let at = 0;
  return (asked, reply) => handlers[Math.min(at++, handlers.length - 1)]?.(asked, reply);
};
const wholly: Handler = (asked, reply) =>
  reply
    .stream()
    .tell(...after(asked))
    .end();

test("a stream is read to its end, and never asked for again", async () => {
  server.on(STREAM, wholly);
  const store = client().watch("run_1");
  const close = store.open();
  expect((await until(store, ended)).view).toEqual(folded(TALK));
  expect(server.to(STREAM)).toHaveLength(1);
  close();
});

test("a cut after any byte changes nothing of what is known at the end", async () => {
  const bytes = new TextEncoder().encode(TALK.map(({ id, event }) => `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
  server.on(STREAM, (asked, reply) => {
    const cut = Number(asked.headers["x-cut"]);
    if (asked.headers["last-event-id"] === undefined && !seen.has(cut)) reply.stream().raw(bytes.slice(0, cut)).cut();
    else wholly(asked, reply);
    seen.add(cut);
  });
  const seen = new Set<number>();
  const cutAt = async (cut: number) => {
    const store = client({ headers: { "x-cut": String(cut) } }).watch("run_1");
    store.open();
    expect((await until(store, ended)).view, `cut after ${cut} bytes`).toEqual(folded(TALK));
  };
  const cuts = Array.from(bytes, (_, at) => at);
  for (let at = 0; at < cuts.length; at += 200) await Promise.all(cuts.slice(at, at + 200).map(cutAt));
  expect(seen.size).toBe(bytes.length);
});

test("events that come twice, and merged deltas, are known once", async () => {
  server.on(
    STREAM,
    script(
      (_, reply) =>
        reply
          .stream()
          .tell(...TALK.slice(0, 7), ...TALK.slice(2, 9))
          .end(),
      (_, reply) =>
        reply
          .stream()
          .tell(...TALK)
          .end(),
    ),
  );
  const store = client().watch("run_1");
  store.open();
  expect((await until(store, ended)).view).toEqual(folded(TALK));
  expect(server.to(STREAM)[1]?.headers["last-event-id"]).toBe(TALK[8]?.id);
});

test("a clean end of the response is no end of the run", async () => {
  server.on(
    STREAM,
    script(
      (_, reply) =>
        reply
          .stream()
          .tell(...TALK.slice(0, 3))
          .end(),
      wholly,
    ),
  );
  const store = client().watch("run_1");
  store.open();
  const lost = await until(store, ({ connection }) => connection === "reconnecting");
  expect(lost.view.ended).toBe(false);
  expect((await until(store, ended)).view.status).toBe("completed");
});

test("204 says that nothing follows", async () => {
  server.on(STREAM, (_, reply) => reply.nothing());
  const store = client().watch("run_1");
  store.open();
  expect((await until(store, ended)).failure).toBeNull();
});

test("a refused token is asked for anew, once", async () => {
  const reasons: string[] = [];
  server.on(STREAM, (asked, reply) =>
    asked.headers.authorization === "Bearer token-refused" ? wholly(asked, reply) : reply.problem(401, "unauthorized"),
  );
  const store = client({ getToken: (reason) => `token-${reasons.push(reason) && reason}` }).watch("run_1");
  store.open();
  await until(store, ended);
  expect(reasons).toEqual(["start", "refused"]);
});

test("a token that is refused again is an error that is told", async () => {
  server.on(STREAM, (_, reply) => reply.problem(401, "unauthorized"));
  const store = client({ getToken: () => "stale" }).watch("run_1");
  store.open();
  expect((await until(store, failed)).failure?.code).toBe("unauthorized");
  expect(server.to(STREAM)).toHaveLength(2);
});

test("a token that ends in mid-stream is asked for anew, and the stream goes on where it was", async () => {
  const reasons: string[] = [];
  const expiring: Handler = (_, reply) => {
    reply.stream().tell(...TALK.slice(0, 5));
    reply.say({ type: "sync.reconnect", reason: "token", after_ms: 0 });
  };
  server.on(STREAM, script(expiring, wholly));
  const store = client({ getToken: (reason) => `token-${reasons.push(reason) && reason}` }).watch("run_1");
  store.open();
  expect((await until(store, ended)).view).toEqual(folded(TALK));
  expect(server.to(STREAM).map(({ headers }) => headers.authorization)).toEqual(["Bearer token-start", "Bearer token-expiring"]);
});

test("many streams whose token ends ask for one new one", async () => {
  const reasons: string[] = [];
  for (const id of ["run_1", "run_2"]) {
    const told = { type: "sync.reconnect", reason: "token", after_ms: 0 };
    server.on(
      `GET /v1/runs/${id}/stream`,
      script((_, reply) => void reply.stream().say(told), wholly),
    );
  }
  const page = client({ getToken: (reason) => `token-${reasons.push(reason) && reason}` });
  const stores = ["run_1", "run_2"].map((id) => page.watch(id));
  for (const store of stores) store.open();
  await Promise.all(stores.map((store) => until(store, ended)));
  expect(reasons).toEqual(["start", "expiring"]);
});

test("a run that a page's token may only start is read with the token that came with it, as long as that holds", async () => {
  server.on("POST /v1/runs", (_, reply) => reply.json({ id: "run_1", token: "of the run" }, 201));
  const bearer = (asked: Asked) => asked.headers.authorization?.replace("Bearer ", "");
  server.on(
    STREAM,
    script(
      (_, reply) =>
        reply
          .stream()
          .tell(...TALK.slice(0, 3))
          .end(),
      (_, reply) => reply.problem(401, "unauthorized"),
      wholly,
    ),
  );
  const page = client({ getToken: (reason) => reason });
  const store = page.watch((await page.runs.start("talk")).id);
  store.open();
  expect((await until(store, ended)).view).toEqual(folded(TALK));
  expect(server.asked.map(bearer)).toEqual(["start", "of the run", "of the run", "start"]);
});

test("a token that cannot be had now is asked for again", async () => {
  let asked = 0;
  server.on(STREAM, wholly);
  const getToken = async () => {
    asked += 1;
    if (asked === 1) throw new Error("The token server sleeps.");
    return "token";
  };
  const store = client({ getToken }).watch("run_1");
  store.open();
  expect((await until(store, ({ failure }) => failure !== null)).failure?.code).toBe("no_token");
  expect((await until(store, ended)).failure).toBeNull();
});

test("Retry-After is kept to", async () => {
  const times: number[] = [];
  const timed =
    (handler: Handler): Handler =>
    (asked, reply) => {
      times.push(performance.now());
      return handler(asked, reply);
    };
  server.on(
    STREAM,
    script(
      timed((_, reply) => reply.problem(429, "too_many_streams", { "retry-after": "1" })),
      timed(wholly),
    ),
  );
  const store = client().watch("run_1");
  store.open();
  await until(store, ended);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(990);
});

test("a stream without a byte is given up, and heartbeats are bytes", async () => {
  const silent: Handler = (_, reply) => {
    reply.stream().tell(...TALK.slice(0, 2));
  };
  const beating: Handler = async (_, reply) => {
    reply.stream();
    const timer = setInterval(() => reply.raw(": hb\n\n"), 40);
    setTimeout(() => {
      clearInterval(timer);
      reply.tell(...TALK).end();
    }, 600);
  };
  server.on(STREAM, script(silent, beating));
  const store = client({ patience: 200 }).watch("run_1");
  store.open();
  await until(store, ended);
  expect(server.to(STREAM)).toHaveLength(2);
});

test("a run that does not exist is an error, and is not asked for again", async () => {
  server.on(STREAM, (_, reply) => reply.problem(404, "run_not_found"));
  const store = client().watch("run_1");
  store.open();
  expect((await until(store, failed)).failure).toMatchObject({ code: "run_not_found", status: 404, hint: "Do something else." });
  expect(server.asked).toHaveLength(1);
});

test("when the log is gone, the run itself tells how it ended", async () => {
  server.on(STREAM, (_, reply) => reply.problem(410, "stream_gone"));
  server.on("GET /v1/runs/run_1", (_, reply) =>
    reply.json({ id: "run_1", status: "completed", attempt: 2, metadata: {}, error: null, output: 7 }),
  );
  const store = client().watch("run_1");
  store.open();
  expect((await until(store, ended)).view).toMatchObject({ status: "completed", output: 7, attempt: 2 });
});

test("a snapshot takes the place of all that was known", async () => {
  const run = { id: "run_1", status: "running", attempt: 3, metadata: { stage: "late" }, error: null };
  const rest = log([{ type: "text.delta", part: "p9", delta: "new" }], 5, 8);
  server.on(
    STREAM,
    (_, reply) =>
      void reply
        .stream()
        .tell(...TALK.slice(0, 8), { id: "5-7", event: { type: "sync.snapshot", reset: true, run } as never }, ...rest)
        .say({ type: "sync.live", cursor: "5-8" }),
  );
  const store = client().watch("run_1");
  const close = store.open();
  const { view } = await until(store, (snapshot) => snapshot.view.parts.some((part) => part.text === "new"));
  expect(view).toMatchObject({ attempt: 3, metadata: { stage: "late" }, steps: [], cursor: "5-8" });
  close();
});

test("the position of filtered events is where a lost stream goes on", async () => {
  const filtered: Handler = (_, reply) =>
    reply
      .stream()
      .tell(...TALK.slice(0, 1), { id: "1-9", event: { type: "sync.cursor", cursor: "1-9" } })
      .end();
  server.on(STREAM, script(filtered, wholly));
  const store = client().watch("run_1", { types: ["run"] });
  store.open();
  await until(store, ended);
  expect(server.to(STREAM).map(({ headers, query }) => [headers["last-event-id"], query.get("types")])).toEqual([
    [undefined, "run"],
    ["1-9", "run"],
  ]);
});

test("everybody who watches a run shares one connection, which outlives a moment without anybody", async () => {
  server.on(STREAM, async (_, reply) => {
    reply
      .stream()
      .tell(...TALK.slice(0, 2))
      .say({ type: "sync.live", cursor: "1-1" });
    await reply.gone;
    gone();
  });
  let gone = () => {};
  const left = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const shared = client();
  const [first, second] = [shared.watch("run_1"), shared.watch("run_1")];
  expect(first).toBe(second);
  const closes = [first.open(), second.open()];
  await until(first, ({ connection }) => connection === "live");
  for (const close of closes) close();
  const again = first.open();
  expect(server.to(STREAM)).toHaveLength(1);
  again();
  await left;
  expect(first.getSnapshot().connection).toBe("idle");
});

test("catching up is published in one stroke, or a few on a slow machine, and ten thousand live deltas a few times a second", async () => {
  const deltas = Array.from({ length: 10_000 }, () => ({ type: "text.delta", part: "p1", delta: "x" }));
  const past = log([{ type: "run.started", task: "t", attempt: 1, epoch: 1 }, ...deltas]);
  server.on(STREAM, (_, reply) =>
    reply
      .stream()
      .tell(...past)
      .say({ type: "sync.live", cursor: past.at(-1)?.id })
      .tell(...log(deltas, 2))
      .tell({ id: "3-0", event: { type: "end", ts: 1, status: "completed" } })
      .end(),
  );
  const store = client().watch("run_1");
  const lengths: number[] = [];
  store.subscribe(() => lengths.push(store.getSnapshot().view.parts[0]?.text.length ?? 0));
  store.open();
  await until(store, ended);
  const told = lengths.filter((length) => length > 0);
  expect(told.filter((length) => length < 10_000).length).toBeLessThan(8);
  expect(told.at(-1)).toBe(20_000);
  expect(told.length).toBeLessThan(100);
});
