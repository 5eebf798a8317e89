import type { VersionMetrics } from "@agentflow/client";
import { expect, test } from "vitest";
import { best, columnName, drawn, isApart, money, percent, ROWS } from "../src/prompts/measures.ts";

const metrics = (over: Partial<VersionMetrics> = {}): VersionMetrics => ({
  version: 3,
  variant: null,
  rollout: null,
  calls: 200,
  errors: 4,
  cancelled: 0,
  error_rate: 0.02,
  error_interval: [0.008, 0.05],
  input: 20_000,
  output: 4_000,
  cached: 0,
  reasoning: 0,
  usd: "0.25",
  priced: 200,
  usd_per_call: 0.00125,
  usd_interval: [0.001, 0.0015],
  timed: 200,
  latency_p50_ms: 840,
  latency_p95_ms: 2_400,
  first_token_p50_ms: null,
  first_token_p95_ms: null,
  ...over,
});

test("numbers are written as people read them, and what is not known as nothing", () => {
  const told = ROWS.map(({ name, write, measure }) => [name, measure(metrics()).value, write] as const);
  const words = Object.fromEntries(told.map(([name, value, write]) => [name, value === null ? null : write(value)]));
  expect(words).toMatchObject({ Calls: "200", Errors: "2.0 %", "Cost of a call": "$0.0013", "Tokens in, of a call": "100" });
  expect(words).toMatchObject({ "Time, half of the calls": "840 ms", "First token, 95 %": null, "Cost of all": "$0.25" });
  expect([percent(0), percent(0.5), money(0), money(12)]).toEqual(["0 %", "50 %", "$0", "$12.00"]);
});

test("a version is better only where the ranges do not meet", () => {
  const errors = (rate: number, low: number, high: number) => ({ value: rate, range: [low, high] as const });
  const [good, bad, near] = [errors(0.02, 0.01, 0.04), errors(0.2, 0.15, 0.26), errors(0.05, 0.03, 0.08)];
  expect(best([bad, good], true)).toBe(1);
  expect(best([good, near], true)).toBeNull();
  expect(best([good, bad], null)).toBeNull();
  expect(best([good], true)).toBeNull();
  expect([isApart(good, bad), isApart(good, near), isApart(good, { value: 1, range: null })]).toEqual([true, false, false]);
});

test("ranges of a row are drawn to one scale", () => {
  const all = [
    { value: 1, range: [0.5, 2] as const },
    { value: 3, range: [2, 4] as const },
  ];
  expect(all.map((one) => drawn(one, all))).toEqual([
    { from: 0.125, to: 0.5, at: 0.25 },
    { from: 0.5, to: 1, at: 0.75 },
  ]);
  expect(drawn({ value: 0, range: [0, 0] }, [{ value: 0, range: [0, 0] }])).toBeNull();
  expect(drawn({ value: 3, range: null }, all)).toBeNull();
});

test("columns are versions, and variants of a rollout", () => {
  expect(columnName(metrics())).toBe("v3");
  expect(columnName(metrics({ version: null }))).toBe("not registered");
  expect(columnName(metrics({ variant: "v3", rollout: "rollout_0123456789" }))).toBe("v3 · 456789");
});
