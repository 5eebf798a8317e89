/** The one error of this package: what the server answered, or why there was no answer. */

import type { Problem } from "./generated/index.ts";

/**
 * What went wrong. `code` is the server's (`run_not_found`, `waitpoint_answered`, …), or `network` when there was no answer;
 * `hint` says what to do next; `status` is 0 without an answer.
 */
export class AgentflowError extends Error {
  override readonly name = "AgentflowError";
  readonly code: string;
  readonly hint: string;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>>;
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfter: number | null;

  constructor(problem: Partial<Problem> & { message: string }, status = 0, retryAfter: number | null = null, cause?: unknown) {
    super(problem.message, cause === undefined ? undefined : { cause });
    this.code = problem.code ?? "unknown";
    this.hint = problem.hint ?? "";
    this.details = problem.details ?? {};
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
