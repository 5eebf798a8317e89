// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** A try of a model call that a version of a prompt spoke. What is not known is null. */
export interface Generation {
  id: string;
  version: number | null;
  hash: string;
  env: string;
  label: string | null;
  variant: string | null;
  rollout: string | null;
  run: string | null;
  step: string;
  at: number;
  duration_ms: number;
  first_token_ms: number | null;
  provider: string | null;
  model: string | null;
  input: number | null;
  output: number | null;
  cached: number | null;
  reasoning: number | null;
  usd: string | null;
  ended: "answered" | "failed" | "cancelled";
  error: string | null;
  rendered: string;
}

/** One call. `variables` are what the prompt was filled with: null where the run is deleted, or the caller may not read it. */
export interface GenerationDetail extends Generation {
  variables: Readonly<Record<string, unknown>> | null;
}

/** Model calls, newest first; `next` is the `cursor` of the next page. */
export interface GenerationPage {
  generations: readonly Generation[];
  next: string | null;
}

/** Which calls: of a `version` by its number, of a `variant` of a rollout, since a time. `cursor` is the `next` of the page before. */
export interface GenerationQuery {
  version?: number;
  variant?: string;
  since?: number;
  cursor?: string;
  limit?: number;
}

/** What was measured after `since`: the newest version first. */
export interface MetricsPage {
  since: number;
  metrics: readonly VersionMetrics[];
}

/** Told apart by version, or by variant of each rollout; since a time (default: a week ago), of one environment and rollout, or all. */
export interface MetricsQuery {
  group?: "version" | "variant";
  since?: number;
  env?: string;
  rollout?: string;
}

/** What the model calls of a prompt did in the last 24 hours; `usd` is null where no call's price is known. */
export interface PromptDay {
  calls: number;
  errors: number;
  usd: string | null;
}

/** A model call of a run, with the prompt whose version spoke it. */
export interface RunGeneration extends Generation {
  prompt: string;
}

/** The model calls of a run that prompts spoke, in their order; 1,000 at most. */
export interface RunGenerationPage {
  generations: readonly RunGeneration[];
}

/** What was measured of a version, or of a variant of a rollout. Intervals are of 95 %. */
export interface VersionMetrics {
  version: number | null;
  variant: string | null;
  rollout: string | null;
  calls: number;
  errors: number;
  cancelled: number;
  error_rate: number | null;
  error_interval: readonly number[] | null;
  input: number;
  output: number;
  cached: number;
  reasoning: number;
  usd: string | null;
  priced: number;
  usd_per_call: number | null;
  usd_interval: readonly number[] | null;
  timed: number;
  latency_p50_ms: number | null;
  latency_p95_ms: number | null;
  first_token_p50_ms: number | null;
  first_token_p95_ms: number | null;
}
