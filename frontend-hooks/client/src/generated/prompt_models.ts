// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { PromptDay } from "./generation_models.ts";

/** Who takes part in a rollout: runs that meet all that is said, each by one of what it names. */
export interface Conditions {
  tasks?: readonly string[];
  tags?: readonly string[];
  keys?: readonly string[];
  threads?: readonly string[];
  variables?: Readonly<Record<string, readonly unknown[]>>;
}

/** A body that nobody may have kept yet, and the version that it is laid beside, by number or hash. */
export interface DiffBody {
  before: number | string;
  body: PromptBody;
}

/** A passage that both versions have, or one of them. */
export interface DiffPiece {
  op: "same" | "removed" | "added";
  text: string;
}

/** Which two versions, by number or hash. */
export interface DiffQuery {
  before: string;
  after: string;
}

/** A message or a partial, in passages. */
export interface DiffText {
  kind: "same" | "changed" | "removed" | "added";
  name: string;
  pieces: readonly DiffPiece[];
}

/** A value that differs. */
export interface DiffValue {
  path: string;
  before: unknown;
  after: unknown;
}

/** Which environment; without, the server's own. */
export interface EnvQuery {
  env?: string;
}

/** Gives all to the baseline once the other versions are worse by more than chance; see `agentflow.Guard`. */
export interface Guarding {
  metric: "error_rate" | "cost" | "latency" | "first_token";
  max_increase?: number;
  min_calls?: number;
  on_breach?: "pause" | "rollback";
}

/** A body to look at. */
export interface LintBody {
  body: PromptBody;
}

/** Something to look at; `wrong` says that the prompt cannot be used like this. */
export interface LintFinding {
  code: string;
  where: string;
  text: string;
  line: number | null;
  column: number | null;
  wrong: boolean;
}

/** What is to be looked at in a body. */
export interface LintPage {
  findings: readonly LintFinding[];
}

/** What shall hold: the version of the code, one `version` (until `expires`, a duration), or several by `weights`. */
export interface MoveBinding extends Moving {
  mode?: "code" | "pinned" | "rollout";
  version?: number | string;
  expires?: number | string;
  weights?: Readonly<Record<string, number>>;
  sticky?: "run" | "thread" | "key";
  baseline?: number;
  conditions?: Conditions;
  ramp?: readonly (readonly (number | string)[])[];
  guards?: readonly Guarding[];
}

/** Who moves a binding, and why. */
export interface Moving {
  reason?: string;
  by?: string;
}

/** Of one version, or of all. */
export interface PinQuery {
  version?: number;
}

/** What holds in an environment under a label. `version` is the one that is live, `code` the one of the code deployed there. */
export interface PromptBinding {
  env: string;
  label: string;
  mode: "code" | "pinned" | "rollout";
  version: number | null;
  code: number | null;
  code_ahead: boolean;
  weights: Readonly<Record<string, number>>;
  rollout: PromptRollout | null;
  expires_at: number | null;
  protected: boolean;
  rev: number;
  updated_at: number;
}

/** All that changes a call. `includes`: the texts of partials; `fenced`: the variables whose text is put between tags. */
export interface PromptBody {
  engine?: string;
  messages: readonly (PromptMessage | PromptSlot)[];
  model?: string;
  params?: Readonly<Record<string, unknown>>;
  tools?: readonly unknown[];
  response_schema?: Readonly<Record<string, unknown>>;
  includes?: Readonly<Record<string, string>>;
  fenced?: readonly string[];
}

/** Two versions side by side: all messages, and what differs beside them. `after` is null for a body that is no version yet. */
export interface PromptDiff {
  before: number;
  after: number | null;
  same: boolean;
  messages: readonly DiffText[];
  partials: readonly DiffText[];
  values: readonly DiffValue[];
}

/** Something that happened to a prompt; `before` and `after` say how a binding was, where one was moved. */
export interface PromptEventInfo {
  seq: number;
  type: string;
  env: string | null;
  label: string | null;
  before: unknown;
  after: unknown;
  actor: string;
  reason: string;
  at: number;
}

/** What happened, oldest first; the next page is asked for with `after`. */
export interface PromptEventPage {
  events: readonly PromptEventInfo[];
}

/** Events after `after`, of one environment or all. */
export interface PromptEventQuery extends EnvQuery {
  after?: number;
}

/** A prompt. `live` holds in the environment that was asked for; `contract` is the JSON schema of its variables. */
export interface PromptInfo {
  name: string;
  description: string;
  contract: Readonly<Record<string, unknown>>;
  versions: number;
  live: PromptBinding | null;
  bindings: readonly PromptBinding[];
  code_hash: string | null;
  code_ahead: boolean;
  created_at: number;
  day: PromptDay | null;
}

/** What one role says, as a template. */
export interface PromptMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** All prompts, by name. */
export interface PromptPage {
  prompts: readonly PromptInfo[];
}

/** A run that holds a version and has not ended. */
export interface PromptPin {
  run: string;
  status: string;
  thread: string | null;
  version: number;
  hash: string;
  label: string;
  variant: string | null;
  at: number;
}

/** The runs that hold versions of a prompt. */
export interface PromptPinPage {
  pins: readonly PromptPin[];
}

/** Several versions side by side, as it was begun: on a `ramp` the weights say how versions divide its share. */
export interface PromptRollout {
  id: string;
  weights: Readonly<Record<string, number>>;
  sticky: "run" | "thread" | "key";
  baseline: number | null;
  conditions: Conditions;
  ramp: readonly RampStep[];
  guards: readonly Guarding[];
  begun_at: number;
}

/** Where messages of the caller are put in, untouched. */
export interface PromptSlot {
  slot: string;
}

/** All that is live in an environment. `etag` changes with it. */
export interface PromptSnapshot {
  env: string;
  etag: string;
  bindings: readonly SnapshotBinding[];
  versions: readonly PromptVersion[];
}

/** A version, which never changes: the same content has the same hash, and is the same version. */
export interface PromptVersion {
  prompt: string;
  number: number;
  hash: string;
  body: PromptBody;
  source: string;
  note: string;
  actor: string;
  created_at: number;
  revoked_at: number | null;
  revoke_policy: string | null;
}

/** All versions of a prompt, the newest first. */
export interface PromptVersionPage {
  versions: readonly PromptVersion[];
}

/** Whether only those may move a binding who may release in its environment. */
export interface ProtectBinding extends Moving {
  protected?: boolean;
}

/** From `after_ms` milliseconds after the rollout began the versions beside the baseline have this share together. */
export interface RampStep {
  after_ms: number;
  share: number;
}

/** What to fill in: a `body` that nobody has kept yet, a `version` by number or hash, or what is live in `env`. */
export interface RenderPrompt {
  variables?: Readonly<Record<string, unknown>>;
  slots?: Readonly<Record<string, readonly unknown[]>>;
  body?: PromptBody;
  version?: number | string;
  env?: string;
}

/** What would be sent to a model. */
export interface RenderedPrompt {
  hash: string;
  version: number | null;
  messages: readonly unknown[];
  model: string | null;
  params: Readonly<Record<string, unknown>>;
}

/** The run that is to hold another version, by number or hash, when it goes on. */
export interface RepinRun extends Moving {
  run: string;
  version: number | string;
}

/** By which versions of prompts it is repeated: those that it held, these instead (by their numbers), or with "current" what is live. */
export interface ReplayRun {
  prompts?: Readonly<Record<string, number>> | "current";
  by?: string;
}

/** Runs that hold the version do when they go on: `repin:<number>`, `pause` or `fail`. */
export interface RevokeVersion extends Moving {
  policy: string;
}

/** A version to keep. `contract`: the JSON schema of the variables, for a prompt that is new; `by`: who saves it. */
export interface SaveVersion {
  body: PromptBody;
  note?: string;
  contract?: Readonly<Record<string, unknown>>;
  by?: string;
}

/** A binding of a snapshot, with the name of its prompt. */
export interface SnapshotBinding extends PromptBinding {
  prompt: string;
  salt: string | null;
}

/** The thread whose next run is to take what is live then. */
export interface UpgradeThread extends Moving {
  thread: string;
}

/** Whether the thread held a version. */
export interface UpgradedThread {
  upgraded: boolean;
}
