// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** Where a run is. */
export type RunState = "scheduled" | "queued" | "running" | "waiting" | "paused" | "completed" | "failed" | "cancelled" | "expired";

/** What a waitpoint waits for. */
export type WaitKind = "timer" | "child" | "approval" | "input" | "callback" | "token" | "signal";

/** Where a waitpoint is; it leaves `pending` once. */
export type WaitState = "pending" | "answered" | "failed" | "timed_out" | "cancelled";
