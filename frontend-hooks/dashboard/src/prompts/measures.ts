// What was measured of versions, to be laid side by side: numbers, and how far they may be off. Pure.

import type { VersionMetrics } from "@agentflow/client";
import { length } from "../format.ts";

/** A number of one version. Without a value there is nothing to say. */
export interface Measure {
  readonly value: number | null;
  /** Where it is with 95 % of certainty. */
  readonly range: readonly [number, number] | null;
}

export interface Row {
  readonly name: string;
  /** How a number of it is written. */
  readonly write: (value: number) => string;
  readonly measure: (one: VersionMetrics) => Measure;
  /** Whether less of it is better; where that is nothing to say, null. */
  readonly less: boolean | null;
}

const plain = (value: number | null): Measure => ({ value, range: null });
const ranged = (value: number | null, range: readonly number[] | null): Measure => {
  const [low, high] = range ?? [];
  return { value, range: low === undefined || high === undefined ? null : [low, high] };
};

export function percent(value: number): string {
  const points = value * 100;
  return `${points < 10 && points !== 0 ? points.toFixed(1) : Math.round(points)} %`;
}

export function money(value: number): string {
  if (value === 0) return "$0";
  return value >= 1 ? `$${value.toFixed(2)}` : `$${Number(value.toPrecision(2))}`;
}

const counted = (value: number) => Math.round(value).toLocaleString();

/** What is told of each version, in order. */
export const ROWS: readonly Row[] = [
  { name: "Calls", write: counted, measure: (one) => plain(one.calls), less: null },
  { name: "Errors", write: percent, measure: (one) => ranged(one.error_rate, one.error_interval), less: true },
  { name: "Cost of a call", write: money, measure: (one) => ranged(one.usd_per_call, one.usd_interval), less: true },
  { name: "Time, half of the calls", write: length, measure: (one) => plain(one.latency_p50_ms), less: true },
  { name: "Time, 95 % of the calls", write: length, measure: (one) => plain(one.latency_p95_ms), less: true },
  { name: "First token, half of the calls", write: length, measure: (one) => plain(one.first_token_p50_ms), less: true },
  { name: "First token, 95 %", write: length, measure: (one) => plain(one.first_token_p95_ms), less: true },
  { name: "Tokens in, of a call", write: counted, measure: (one) => plain(perCall(one.input, one)), less: null },
  { name: "Tokens out, of a call", write: counted, measure: (one) => plain(perCall(one.output, one)), less: null },
  { name: "Cost of all", write: money, measure: (one) => plain(one.usd === null ? null : Number(one.usd)), less: null },
];

function perCall(sum: number, { calls }: VersionMetrics): number | null {
  return calls === 0 ? null : sum / calls;
}

/** What a column is called: the version, and its rollout where variants are told apart. */
export function columnName({ version, variant, rollout }: Pick<VersionMetrics, "version" | "variant" | "rollout">): string {
  const name = version === null ? "not registered" : `v${version}`;
  if (rollout === null) return variant === null ? name : `${name} · ${variant}`;
  return `${name} · ${rollout.slice(-6)}`;
}

/** Where a range and its value are drawn, in parts of the widest of the row. */
export interface Drawn {
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

export function drawn(measure: Measure, all: readonly Measure[]): Drawn | null {
  if (measure.value === null || measure.range === null) return null;
  const most = Math.max(...all.flatMap((one) => one.range ?? [one.value ?? 0]));
  if (most <= 0) return null;
  const within = (value: number) => Math.min(1, Math.max(0, value / most));
  return { from: within(measure.range[0]), to: within(measure.range[1]), at: within(measure.value) };
}

/** Whether two versions differ in what was measured, as far as can be told: their ranges do not touch. */
export function isApart(a: Measure, b: Measure): boolean {
  return a.range !== null && b.range !== null && (a.range[1] < b.range[0] || b.range[1] < a.range[0]);
}

/** The one that is better than all others for sure; null where that cannot be told. */
export function best(all: readonly Measure[], less: boolean | null): number | null {
  if (less === null || all.length < 2) return null;
  const found = all.findIndex((one, place) =>
    all.every((other, at) => at === place || (isApart(one, other) && (one.value ?? 0) < (other.value ?? 0) === less)),
  );
  return found < 0 ? null : found;
}
