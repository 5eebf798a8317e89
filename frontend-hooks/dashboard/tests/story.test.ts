import type { ApprovalView, CallView, PartView } from "@agentflow/client";
import { describe, expect, test } from "vitest";
import { same, speaking, storyOf } from "../src/run/story.ts";

const part = (id: string, order: number, more: Partial<PartView> = {}): PartView => ({
  id,
  kind: "text",
  text: id,
  done: true,
  step: null,
  message: null,
  order,
  ...more,
});
const call = (id: string, order: number): CallView => ({
  id,
  name: "refund",
  state: "running",
  written: "",
  input: {},
  output: undefined,
  error: null,
  executed: "server",
  step: null,
  message: null,
  order,
});
const asked = (id: string, of: string, decision = ""): ApprovalView => ({
  id,
  title: "?",
  kind: "tool",
  call: of,
  step: null,
  input: null,
  schema: null,
  expiresAt: null,
  canEdit: true,
  decision,
  by: null,
  reason: null,
  run: null,
});
const view = (more: Partial<Parameters<typeof storyOf>[0]>) => ({ parts: [], calls: [], references: [], approvals: [], ...more });

describe("a story", () => {
  test("tells parts and calls in the order in which they began", () => {
    const told = storyOf(view({ parts: [part("a", 0), part("b", 2)], calls: [call("c", 1)] }));
    expect(told.map((one) => one.id)).toEqual(["a", "c", "b"]);
  });

  test("leaves out a part that ended without a word, not one that has just begun", () => {
    const told = storyOf(view({ parts: [part("a", 0, { text: "" }), part("b", 1, { text: "", done: false })] }));
    expect(told.map((one) => one.id)).toEqual(["b"]);
  });

  test("gives a call the last question that was asked about it", () => {
    const [told] = storyOf(
      view({ calls: [call("c", 0)], approvals: [asked("wp_1", "c", "cancelled"), asked("wp_2", "c"), asked("wp_3", "d")] }),
    );
    expect(told?.type === "tool" && told.approval?.id).toBe("wp_2");
  });

  test("knows what is being said now, and that nothing is when the run has ended", () => {
    const told = storyOf(view({ parts: [part("a", 0), part("b", 1, { done: false })] }));
    expect([speaking(told, false), speaking(told, true)]).toEqual(["b", null]);
  });

  test("draws again only what changed", () => {
    const calls = [call("c", 1)];
    const [a, c] = storyOf(view({ parts: [part("a", 0)], calls }));
    const [again, sameCall] = storyOf(view({ parts: [part("a", 0, { text: "a!" })], calls }));
    expect(a && again && same(a, again)).toBe(false);
    expect(c && sameCall && same(c, sameCall)).toBe(true);
  });
});
