import { AgentflowError, type Waitpoint } from "@agentflow/client";
import { byUrgency, isFor, progressOf, questionOf, type Refusal } from "@agentflow/react";
import { describe, expect, test } from "vitest";
import { between, changes } from "../src/asking/diff.ts";
import { refusalWords, standing } from "../src/asking/words.ts";

const asked = (more: object = {}): Waitpoint => ({
  ...{ id: "wp_1", kind: "approval", state: "pending", run: "run_1", step: null, target: null, subject: {}, schema: null },
  ...{ answer: null, answered_by: null, due_at: null, created_at: 1, ended_at: null },
  ...more,
});

describe("what a person changes", () => {
  test("is told place by place", () => {
    const before = { order: "o-1", cents: 100, lines: [{ sku: "a" }, { sku: "b" }], note: "x" };
    const after = { order: "o-1", cents: "100", lines: [{ sku: "a" }, { sku: "c" }], why: null };
    expect(changes(before, after)).toEqual([
      { path: "cents", before: 100, after: "100" },
      { path: "lines.1.sku", before: "b", after: "c" },
      { path: "note", before: "x" },
      { path: "why", after: null },
    ]);
    expect(changes(before, structuredClone(before))).toEqual([]);
    expect(changes({ tags: ["a"] }, { tags: ["a", "b"] })).toEqual([{ path: "tags", before: ["a"], after: ["a", "b"] }]);
  });

  test.each([
    ["send it to Ana", "send it to Bo", { head: "send it to ", old: "Ana", now: "Bo", tail: "" }],
    ["aa", "aaa", { head: "aa", old: "", now: "a", tail: "" }],
    ["😀", "😁", { head: "", old: "😀", now: "😁", tail: "" }],
  ])("is marked in a text: %s, %s", (before, after, told) => {
    expect(between(before, after)).toEqual(told);
  });
});

describe("an inbox", () => {
  test("has what is risky first, then what ends soon, then what has waited longest", () => {
    const some = [
      asked({ id: "low", subject: { risk: "low" }, due_at: 5 }),
      asked({ id: "old" }),
      asked({ id: "new", created_at: 2 }),
      asked({ id: "soon", due_at: 10 }),
      asked({ id: "critical", subject: { risk: "critical" } }),
    ];
    expect(some.sort(byUrgency).map((one) => one.id)).toEqual(["critical", "soon", "old", "new", "low"]);
  });

  test.each([
    [{}, ["maria"], true],
    [{}, [], true],
    [{ users: ["maria"] }, ["maria"], true],
    [{ users: ["maria"] }, [], false],
    [{ groups: ["editors"] }, ["otto", "editors"], true],
    [{ assign: "user:maria" }, ["maria"], true],
    [{ assign: "group:ops" }, ["maria"], false],
    [{ requester: "maria" }, ["maria"], false],
  ])("of %o for %o: %s", (subject, names, whether) => {
    expect(isFor(questionOf(asked({ subject })), names)).toBe(whether);
  });

  test("counts distinct people who say yes to the same", () => {
    const said = (actor: string, choice: string, edits?: object, counted = true) => ({
      actor,
      choice,
      said: { edits },
      counted,
      why: null,
      at: 1,
    });
    expect(progressOf([said("a", "approve"), said("a", "approve"), said("b", "approve", {}, false)])).toBe(1);
    expect(progressOf([said("a", "approve"), said("b", "approve", { cents: 1 }), said("c", "approve")])).toBe(2);
    expect(progressOf([said("a", "approve"), said("a", "deny")])).toBe(0);
  });
});

describe("what became of a question", () => {
  test.each([
    [{ state: "answered", answer: { approved: false }, answered_by: "Ana" }, "Denied by Ana"],
    [{ state: "answered", answer: { approved: true, edits: { a: 1 } }, answered_by: "Ana" }, "Approved with changes by Ana"],
    [{ state: "answered", kind: "input", answer: 3, answered_by: "Ana" }, "Answered by Ana"],
    [{ state: "timed_out" }, "Nobody answered in time"],
    [{ state: "timed_out", answer: { details: { on_timeout: "approve" } } }, "Nobody answered in time, so it was approved"],
    [{ state: "cancelled", answered_by: "boss" }, "Taken back by boss"],
    [{ state: "cancelled", answered_by: "system:race" }, "No longer asked: its run went on"],
  ])("%o: %s", (more, words) => {
    expect(standing(asked(more))).toBe(words);
  });

  test("is a fact for whom it comes too late, or who may not decide", () => {
    const refused = (why: Refusal["why"], details = {}) =>
      refusalWords(
        { why, problems: {}, error: new AgentflowError({ message: "m", details }) },
        questionOf(asked({ subject: { groups: ["ops"] } })),
      );
    expect(refused("answered")).toMatch(/came second/);
    expect(refused("not_allowed", { reason: "self_approval" })).toMatch(/You asked for this/);
    expect(refused("not_allowed")).toBe("This is not yours to decide: ask ops.");
  });
});
