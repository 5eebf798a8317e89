import { describe, expect, test } from "vitest";
import { nested } from "../src/run/nested.ts";
import { advanceAll, EMPTY, type Span, type Timeline, type Told } from "../src/run/timeline.ts";

const step = (type: string, ts: number, id: string, more: object = {}): Told => ({
  type: `step.${type}`,
  ts,
  step: id,
  name: id,
  kind: "code",
  attempt: 1,
  ...more,
});
const of = (...events: Told[]): Timeline => advanceAll(EMPTY, events);
const brief = (line: Timeline) => line.spans.map((span) => [span.name, span.state, span.start, span.end]);
const named = (line: Timeline, name: string): Span => {
  const found = line.spans.find((span) => span.name === name);
  if (found === undefined) throw new Error(`no span ${name}`);
  return found;
};

describe("a timeline", () => {
  test("shows a step from its start to its end", () => {
    expect(brief(of(step("started", 100, "charge"), step("completed", 180, "charge")))).toEqual([["charge", "completed", 100, 180]]);
  });

  test("places a short step, which says only that it is done, by how long it took", () => {
    expect(brief(of(step("completed", 180, "charge", { duration_ms: 30 })))).toEqual([["charge", "completed", 150, 180]]);
  });

  test("shows each try of a step, with the error that ended it and the pause before the next", () => {
    const line = of(
      step("started", 0, "fetch"),
      step("retrying", 50, "fetch", { attempt: 2, delay_ms: 200, error: { message: "timed out" } }),
      step("completed", 300, "fetch", { attempt: 2 }),
    );
    expect(named(line, "fetch").tries).toEqual([
      { start: 0, end: 50, error: "timed out" },
      { start: 250, end: 300 },
    ]);
  });

  test("shows the try of a later attempt beside the one that failed, although it says only that it is done", () => {
    const line = of(step("failed", 20, "a", { error: { message: "locked" } }), step("completed", 900, "a", { duration_ms: 30 }));
    expect(line.spans).toHaveLength(1);
    expect(named(line, "a")).toMatchObject({
      state: "completed",
      tries: [
        { start: 20, end: 20, error: "locked" },
        { start: 870, end: 900 },
      ],
    });
  });

  test("keeps what a lost worker began, as void, beside what the next one did", () => {
    const line = of(
      step("started", 0, "charge"),
      { type: "run.attempt", ts: 40, epoch: 2, reason: "worker_lost", attempt: 1, supersedes: ["charge"] },
      step("started", 50, "charge"),
      step("completed", 90, "charge"),
    );
    expect(brief(line)).toEqual([
      ["charge", "void", 0, 40],
      ["charge", "completed", 50, 90],
    ]);
    expect(line.turns).toEqual([{ at: 40, reason: "worker_lost", attempt: 1 }]);
  });

  test("voids steps that were open although nobody named them, and nothing that was done", () => {
    const line = of(step("completed", 10, "a"), step("started", 20, "b"), { type: "run.attempt", ts: 40, reason: "worker_lost" });
    expect(brief(line)).toEqual([
      ["a", "completed", 10, 10],
      ["b", "void", 20, 40],
    ]);
  });

  test("does not count going on after a wait as a turn, and leaves child runs and questions alone", () => {
    const line = of(
      { type: "child.started", ts: 0, run: "run_2", name: "refund" },
      { type: "approval.requested", ts: 5, approval: "wp_1", title: "Pay?" },
      { type: "run.attempt", ts: 10, reason: "resume" },
    );
    expect(line.turns).toEqual([]);
    expect(line.spans.map((span) => span.state)).toEqual(["running", "waiting"]);
  });

  test("shows a sleep until the run goes on", () => {
    const line = of({ type: "run.waiting", ts: 10, on: "timer", until: 5_000 }, { type: "run.attempt", ts: 5_003, reason: "resume" });
    expect(brief(line)).toEqual([["sleep", "completed", 10, 5_003]]);
  });

  test("shows the wait in the queue", () => {
    expect(brief(of({ type: "run.queued", ts: 0, task: "t" }, { type: "run.started", ts: 700, task: "t" }))).toEqual([
      ["queued", "completed", 0, 700],
    ]);
  });

  test.each([
    ["approved", "completed"],
    ["denied", "denied"],
    ["expired", "cancelled"],
  ])("tells of a question that was %s, and by whom", (decision, state) => {
    const line = of(
      { type: "approval.requested", ts: 0, approval: "wp_1", title: "Pay?" },
      { type: "approval.resolved", ts: 900, approval: "wp_1", decision, by: "maria" },
    );
    expect(named(line, "Pay?")).toMatchObject({ state, end: 900, note: `${decision} by maria` });
  });

  test("ends everything that is open when the run ends", () => {
    const line = of(step("started", 0, "a"), { type: "run.waiting", ts: 5, on: "token" }, { type: "end", ts: 60, status: "cancelled" });
    expect(line.ended).toBe(true);
    expect(line.spans.map((span) => [span.state, span.end])).toEqual([
      ["cancelled", 60],
      ["completed", 60],
    ]);
  });

  test("does not move a recorded step that is told of again", () => {
    const line = of(
      step("started", 0, "a"),
      step("completed", 20, "a"),
      step("started", 500, "a"),
      step("completed", 510, "a", { duration_ms: 10 }),
    );
    expect(brief(line)).toEqual([["a", "completed", 0, 20]]);
  });

  test("begins anew when the stream was lost", () => {
    expect(of(step("started", 0, "a"), { type: "sync.snapshot" }).spans).toEqual([]);
  });

  test("ignores what it does not know", () => {
    const line = of(step("started", 0, "a"));
    expect(advanceAll(line, [{ type: "brand.new", ts: 9 }])).toBe(line);
  });
});

describe("nested spans", () => {
  const span = (id: string, parent?: string): Span => ({
    id,
    kind: "code",
    name: id,
    state: "completed",
    start: 0,
    tries: [],
    ...(parent && { parent }),
  });
  const ids = (spans: Span[]) => nested(spans).map(([one, depth]) => `${depth}${one.id}`);

  test("stand behind the one that they belong to", () => {
    expect(ids([span("a"), span("b"), span("a1", "a"), span("a11", "a1")])).toEqual(["0a", "1a1", "2a11", "0b"]);
  });

  test("are not lost when what they belong to is unknown or themselves", () => {
    expect(ids([span("a", "gone"), span("b", "b")])).toEqual(["0a", "0b"]);
  });
});
