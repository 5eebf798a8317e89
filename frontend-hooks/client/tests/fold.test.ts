import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Entry, RunFold } from "../src/index.ts";

interface Case {
  readonly name: string;
  readonly log: readonly Entry[];
  readonly fold: Record<string, unknown>;
}

const cases = readFileSync(new URL("fixtures/folds.jsonl", import.meta.url), "utf-8")
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Case);

/** What the Python reader knows of a run, too. */
function shared(fold: RunFold): Record<string, unknown> {
  const view = fold.view();
  const { status, attempt, ended, cursor, data, metadata, output, error } = view;
  return {
    status,
    attempt,
    ended,
    cursor,
    steps: view.steps.map(({ startedAt: _, endedAt: __, durationMs: ___, ...step }) => step),
    parts: view.parts.map(({ order: _, ...part }) => part),
    calls: view.calls.map(({ order: _, executed: __, message: ___, ...call }) => call),
    approvals: view.approvals.map(({ id, title, call, step, decision, run }) => ({ id, title, call, step, decision, run })),
    data,
    metadata,
    waiting: view.waiting && { on: view.waiting.on, ids: view.waiting.ids, until: view.waiting.until },
    output,
    error,
  };
}

test.each(cases)("$name folds as in Python", ({ log, fold }) => {
  const folded = new RunFold("run_1");
  for (const entry of log) folded.apply(entry);
  expect(shared(folded)).toEqual(fold);
});

test.each(cases)("$name folds the same when everything is told twice", ({ log }) => {
  const once = new RunFold("run_1");
  const twice = new RunFold("run_1");
  for (const entry of log) once.apply(entry);
  log.forEach((_, index) => {
    for (const entry of log.slice(0, index + 1)) twice.apply(entry);
  });
  expect(twice.view()).toEqual(once.view());
});
