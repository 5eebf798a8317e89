// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** One line. `hash` is over all the others, and `prev` is the hash of the entry before it. */
export interface AuditEntry {
  seq: number;
  type: string;
  at: number;
  waitpoint: string | null;
  run: string | null;
  actor: string;
  via: string;
  detail: unknown;
  prev: string;
  hash: string;
}

/** Which entries: those after number `after`, in order; of one `type`, or all. */
export interface AuditQuery {
  type?: string;
  after?: number;
  limit?: number;
}
