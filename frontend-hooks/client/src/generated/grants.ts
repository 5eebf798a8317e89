// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

import type { Stand } from "./requests.ts";

/** A standing yes, to calls of `tool`, or to those that are like the one that the question `from_waitpoint` is about. */
export interface CreateGrant extends Stand {
  tool?: string;
  from_waitpoint?: string;
  scope_id?: string;
  match?: Readonly<Record<string, unknown>>;
  reason?: string;
  by?: string;
}

/** A standing yes to calls of a tool; `counts` while it can be used. `scope_id` is empty for the scope `all`. */
export interface GrantInfo {
  id: string;
  scope: string;
  scope_id: string;
  tool: string;
  match: Readonly<Record<string, unknown>>;
  granted_by: string;
  waitpoint: string | null;
  reason: string | null;
  max_uses: number | null;
  uses: number;
  counts: boolean;
  created_at: number;
  expires_at: number;
  revoked_at: number | null;
  revoked_by: string | null;
}

/** Grants, newest first. */
export interface GrantPage {
  grants: readonly GrantInfo[];
}

/** Which grants: those that count now, or with `every` also those that are over. */
export interface GrantQuery {
  tool?: string;
  every?: boolean;
  limit?: number;
}
