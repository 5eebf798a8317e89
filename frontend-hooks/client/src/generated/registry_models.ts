// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { EnvQuery } from "./prompt_models.ts";

/** Who deletes a version, and why. */
export interface DeleteQuery {
  reason?: string;
  by?: string;
}

/** Only what is `live` in an environment, or all versions. */
export interface ExportQuery extends EnvQuery {
  live?: boolean;
}

/** How often, from when to when, a prompt was filled by the version with this hash, because its registry could not be asked. */
export interface FallbackInfo {
  prompt: string;
  hash: string;
  reason: string;
  count: number;
  since: number;
  until: number;
}

/** What was gone by in an environment (default: the server's own) by who follows what is live there. */
export interface FallbackReport {
  fallbacks: readonly FallbackInfo[];
  env?: string;
  by?: string;
}

/** How many events were written: none for prompts that nobody registered. */
export interface FallbacksRecorded {
  recorded: number;
}

/** Which environment, and whether to go on with what changes in it. */
export interface FollowQuery extends EnvQuery {
  live?: boolean;
}

/** Whether what was released there is released here, and who does it. */
export interface ImportQuery {
  labels?: boolean;
  by?: string;
}

/** What an archive brought, and how many bindings it moved. */
export interface ImportedPrompts {
  versions: readonly ImportedVersion[];
  moved: number;
}

/** A version of an archive: its number `there` and here, whether it is new here, or why it was `refused`. */
export interface ImportedVersion {
  prompt: string;
  hash: string;
  there: number | null;
  number: number | null;
  new: boolean;
  refused: string | null;
}
