// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { Moving } from "./prompt_models.ts";

/** What holds for a prompt, if anything does: its own policy, else that of `*`. */
export interface FoundPolicy {
  policy: PromptPolicy | null;
}

/** What has to be before a prompt is moved in an environment; `prompt` is `*` where it holds for all that have none of their own. */
export interface PromptPolicy {
  prompt: string;
  env: string;
  people: number;
  users: readonly string[];
  groups: readonly string[];
  notify: readonly string[];
  gate: string | null;
  expires_ms: number | null;
  actor: string;
  changed_at: number;
}

/** All policies, by prompt and environment. */
export interface PromptPolicyPage {
  policies: readonly PromptPolicy[];
}

/** A move that was asked for under a policy. */
export interface PromptRequest {
  id: string;
  prompt: string;
  env: string;
  label: string;
  run: string;
  waitpoint: string | null;
  target: Readonly<Record<string, unknown>>;
  rev: number;
  actor: string;
  reason: string;
  status: "asked" | "released" | "denied" | "conflict";
  outcome: Readonly<Record<string, unknown>>;
  requested_at: number;
  ended_at: number | null;
}

/** What was asked for of a prompt, the newest first. */
export interface PromptRequestPage {
  requests: readonly PromptRequest[];
}

/** What has to be from now on: `people` who say yes until `expires` (a duration), a `gate`, both, or nothing. See `PromptPolicy`. */
export interface SetPolicy extends Moving {
  people?: number;
  users?: readonly string[];
  groups?: readonly string[];
  notify?: readonly string[];
  gate?: string;
  expires?: number | string;
}
