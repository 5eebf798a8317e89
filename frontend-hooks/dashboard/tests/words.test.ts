import { describe, expect, test } from "vitest";
import { day, distance, length, lived, plainName, short } from "../src/format.ts";
import { parse, paths } from "../src/router.ts";
import { isEmpty, matches, parseFilter, withPart } from "../src/runs-filter.ts";

describe("lengths of time", () => {
  test.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1_000, "1.0 s"],
    [9_999, "9.9 s"],
    [59_999, "59 s"],
    [200_000, "3 min 20 s"],
    [7_200_000, "2 h"],
    [187_200_000, "2 d 4 h"],
  ])("%d ms is %s", (ms, told) => expect(length(ms)).toBe(told));

  test.each([
    [0, "now"],
    [-90_000, "1 min ago"],
    [90_000, "in 1 min"],
    [-172_800_001, "2 d ago"],
  ])("%d ms away is %s", (away, told) => expect(distance(1e12 + away, 1e12)).toBe(told));

  test("yesterday is the day before, however few hours ago", () => {
    const morning = new Date(2026, 10, 29, 0, 30).getTime();
    expect([day(morning, morning), day(morning - 3_600_000, morning)]).toEqual(["Today", "Yesterday"]);
  });
});

test("ids keep the end, where ids of one second differ", () => {
  expect([short("run_01a227056ae77bf08365df2262f69915"), short("wp_12"), plainName("charge#0"), plainName("charge#1")]).toEqual([
    "run_…f69915",
    "wp_12",
    "charge",
    "charge#1",
  ]);
});

describe("the filter of runs", () => {
  test("is one line, of which each part counts", () => {
    expect(parseFilter("task:refund  status:failed tag:thread:t-1 O-81 maria")).toEqual({
      task: "refund",
      status: "failed",
      tag: "thread:t-1",
      words: ["o-81", "maria"],
    });
  });

  test("ignores a status that is none, and names without a value", () => {
    expect(isEmpty(parseFilter("status:done task: "))).toBe(true);
  });

  test("changes one part and keeps the others", () => {
    const line = withPart("task:refund o-81", "status", "failed");
    expect(line).toBe("status:failed task:refund o-81");
    expect(withPart(line, "status", null)).toBe("task:refund o-81");
  });

  test("finds words in what a row shows", () => {
    const run = { id: "run_1", task: "refund", tags: ["vip"], note: "No live worker" };
    expect([matches(run, ["vip", "refund"]), matches(run, ["worker"]), matches(run, ["vip", "x"])]).toEqual([true, true, false]);
  });
});

describe("addresses", () => {
  test.each([
    [paths.runs(), { page: "runs", query: "" }],
    [paths.runs("tag:a b&c"), { page: "runs", query: "tag:a b&c" }],
    [paths.run("run_1"), { page: "run", id: "run_1" }],
    [paths.task("a/b?c"), { page: "task", name: "a/b?c", thread: null }],
    [paths.task("support", "t 1"), { page: "task", name: "support", thread: "t 1" }],
    [paths.approvals(), { page: "approvals" }],
    [paths.grants(), { page: "approval-grants" }],
    [paths.audit(), { page: "approval-audit", query: "" }],
    [paths.audit("wp_1 a&b"), { page: "approval-audit", query: "wp_1 a&b" }],
    [paths.workers(), { page: "workers" }],
  ])("%s leads to its page", (path, page) => expect(parse(`/${path}`)).toEqual(page));

  test("of no page say so", () => {
    expect(parse("/nowhere")).toEqual({ page: "unknown", path: "/nowhere" });
    expect(parse("/runs/a/b").page).toBe("unknown");
    expect(parse("/runs/%E0%A4%A").page).toBe("unknown");
  });
});

test("what still lives is told in whole seconds", () => {
  expect([lived(0), lived(999), lived(8_400), lived(61_000)]).toEqual(["0 s", "0 s", "8 s", "1 min 1 s"]);
});
