// A release while it is thought over: what is to hold, and the request that says so. Pure.

import type { Guarding, MoveBinding, PromptBinding } from "@agentflow/client";
import { sharesOf } from "./words.ts";

export type Mode = PromptBinding["mode"];
export type Sticky = NonNullable<MoveBinding["sticky"]>;

export type Metric = Guarding["metric"];

/** A version of a rollout, with its share as it is typed. */
export interface Part {
  readonly version: number;
  readonly share: string;
}

/** What shall hold, as it stands in the form. `expires` is a duration, empty for none. */
export interface Plan {
  readonly env: string;
  readonly label: string;
  readonly mode: Mode;
  readonly version: number;
  readonly parts: readonly Part[];
  readonly sticky: Sticky;
  /** What stops a rollout where the other versions are worse; empty for nothing. */
  readonly watched: Metric | "";
  readonly expires: string;
  readonly reason: string;
}

/** The plan to have one version hold where a binding is. */
export function planFor(at: Pick<PromptBinding, "env" | "label">, mode: Mode, version: number, seen: PromptBinding | null): Plan {
  return { ...at, mode, version, parts: partsFor(version, seen), sticky: "run", watched: "", expires: "", reason: "" };
}

/** A rollout begins with what holds, and a tenth of the other. */
export function partsFor(version: number, seen: PromptBinding | null): readonly Part[] {
  if (seen?.mode === "rollout") return sharesOf(seen.weights).map((one) => ({ version: one.version, share: String(one.percent) }));
  const now = seen?.version ?? null;
  if (now === null || now === version) return [{ version, share: "100" }];
  return [
    { version: now, share: "90" },
    { version, share: "10" },
  ];
}

/** The request that a plan makes, or what is wrong with it. */
export function moveOf(plan: Plan): MoveBinding | string {
  const reason = plan.reason.trim();
  if (plan.env.trim() === "") return "Say in which environment.";
  if (reason === "") return "Say why: it is kept with the release.";
  if (plan.mode === "code") return { mode: "code", reason };
  if (plan.mode === "pinned")
    return { mode: "pinned", version: plan.version, reason, ...(plan.expires === "" ? {} : { expires: plan.expires }) };
  const weights = weightsOf(plan.parts);
  return typeof weights === "string" ? weights : { mode: "rollout", weights, sticky: plan.sticky, reason, ...guardOf(plan) };
}

/** The first version of a rollout takes all where the others are worse: in errors by two points, in all else by a fifth. */
function guardOf({ parts, watched }: Plan): Pick<MoveBinding, "baseline" | "guards"> {
  const baseline = parts[0]?.version;
  if (watched === "" || baseline === undefined) return {};
  return { baseline, guards: [{ metric: watched, max_increase: watched === "error_rate" ? 0.02 : 0.2 }] };
}

function weightsOf(parts: readonly Part[]): Readonly<Record<string, number>> | string {
  const shares = parts.map((one) => Number(one.share.replace(",", ".")));
  if (shares.some((one) => !Number.isFinite(one) || one <= 0)) return "Each share is a number above 0.";
  if (new Set(parts.map((one) => one.version)).size < parts.length) return "Each version has one share.";
  const total = shares.reduce((sum, one) => sum + one, 0);
  return Object.fromEntries(parts.map((one, place) => [one.version, (shares[place] ?? 0) / total]));
}

/** The version that a plan brings in, to be laid beside the one that is live; null where it brings none. */
export function brought(plan: Plan, seen: PromptBinding | null): number | null {
  if (plan.mode === "code") return seen?.code ?? null;
  if (plan.mode === "pinned") return plan.version;
  return plan.parts.map((one) => one.version).find((one) => one !== seen?.version) ?? null;
}
