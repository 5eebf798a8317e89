import { describe, expect, test } from "vitest";
import { scaleOf, ticks } from "../src/run/scale.ts";
import type { Span, SpanKind } from "../src/run/timeline.ts";

const DAY = 24 * 3_600_000;

function span(kind: SpanKind, start: number, end?: number): Span {
  return {
    id: `${kind}${start}`,
    kind,
    name: kind,
    state: end === undefined ? "running" : "completed",
    start,
    tries: [],
    ...(end !== undefined && { end }),
  };
}

describe("a scale", () => {
  test("is even while there is nothing to fold", () => {
    const scale = scaleOf([span("code", 0, 400), span("code", 400, 1_000)], 1_000);
    expect(scale.folds).toEqual([]);
    expect([scale.x(0), scale.x(500), scale.x(1_000)]).toEqual([0, 0.5, 1]);
  });

  test("folds three days of sleep, so that the work beside them can be seen", () => {
    const scale = scaleOf([span("code", 0, 1_000), span("wait", 1_000, 3 * DAY), span("code", 3 * DAY, 3 * DAY + 1_000)], 3 * DAY + 1_000);
    expect(scale.folds).toHaveLength(1);
    expect(scale.x(1_000)).toBeGreaterThan(0.3);
    expect(1 - scale.x(3 * DAY)).toBeGreaterThan(0.3);
  });

  test("folds a wait that goes on at the end", () => {
    const scale = scaleOf([span("llm", 0, 500), span("approval", 500)], DAY);
    expect(scale.folds).toHaveLength(1);
    expect(scale.x(DAY)).toBeCloseTo(1);
    expect(scale.x(500)).toBeGreaterThan(0.5);
  });

  test("never folds work, however long", () => {
    expect(scaleOf([span("llm", 0, DAY)], DAY).folds).toEqual([]);
  });

  test("keeps the order of moments, and stays between 0 and 1", () => {
    const spans = [
      span("code", 0, 300),
      span("wait", 300, 90_000),
      span("code", 90_000, 90_500),
      span("approval", 90_500, 4 * DAY),
      span("llm", 4 * DAY, 4 * DAY + 900),
    ];
    const scale = scaleOf(spans, 4 * DAY + 900);
    const places = Array.from({ length: 500 }, (_, n) => scale.x((n / 499) * (4 * DAY + 900)));
    expect(places.every((x, n) => x >= 0 && x <= 1 && (n === 0 || x >= (places[n - 1] ?? 0)))).toBe(true);
    expect(scale.folds).toHaveLength(2);
  });

  test("stands for a run of which nothing is known yet", () => {
    expect(scaleOf([], 5).x(5)).toBeGreaterThanOrEqual(0);
  });

  test("writes no time into a fold or over another", () => {
    const scale = scaleOf([span("code", 0, 2_000), span("wait", 2_000, DAY), span("code", DAY, DAY + 2_000)], DAY + 2_000);
    const at = ticks(scale);
    expect(at[0]).toBe(0);
    for (const moment of at) expect(scale.folds.some((fold) => moment > fold.from && moment < fold.to)).toBe(false);
    const places = at.map(scale.x);
    for (const [n, x] of places.entries()) if (n > 0) expect(x - (places[n - 1] ?? 0)).toBeGreaterThan(0.1);
  });
});
