import type { CallView, PartView, RunSnapshot, RunView } from "@agentflow/client";
import { useCallback } from "react";
import { useByValue } from "./latest.ts";
import { useRunStore, useSelected } from "./live.ts";

/** What of a run's words to show. */
export interface UseRunStreamOptions {
  /** Only this part. */
  readonly part?: string;
  /** Only what this step says. */
  readonly step?: string;
  /** Which kinds; text, reasoning and tools unless given. */
  readonly kinds?: readonly ("text" | "reasoning" | "tool")[];
  /** At most one render in so many milliseconds. */
  readonly throttle?: number;
  readonly enabled?: boolean;
}

/** A part of what a run says. `text` of a tool call is its input as the model writes it. */
export interface StreamPart {
  readonly id: string;
  readonly kind: "text" | "reasoning" | "tool";
  readonly text: string;
  readonly done: boolean;
  readonly step: string | null;
  readonly message: string | null;
  /** The tool call, for a part of kind `tool`. */
  readonly call: CallView | null;
}

/** What a run says, in order. What a retry voids is not in it. */
export interface UseRunStreamResult {
  readonly parts: readonly StreamPart[];
  /** All parts of kind `text`, joined. */
  readonly text: string;
  readonly isStreaming: boolean;
  readonly cursor: string | null;
  readonly attempt: number;
}

const SILENCE: UseRunStreamResult = { parts: [], text: "", isStreaming: false, cursor: null, attempt: 1 };

/**
 * What a run says, token by token.
 *
 *     const { text, isStreaming } = useRunStream(runId, { kinds: ["text"] });
 */
export function useRunStream(runId?: string | null, options: UseRunStreamOptions = {}): UseRunStreamResult {
  const { throttle, enabled = true } = options;
  const wanted = useByValue({ part: options.part, step: options.step, kinds: options.kinds });
  const { shown } = useRunStore(runId, throttle === undefined ? {} : { throttle });
  const select = useCallback((snapshot: RunSnapshot) => streamOf(snapshot.view, wanted), [wanted]);
  return useSelected(shown, select, { enabled, same: sameStream }) ?? SILENCE;
}

type Wanted = { readonly [K in "part" | "step" | "kinds"]: UseRunStreamOptions[K] | undefined };

function streamOf(view: RunView, wanted: Wanted): UseRunStreamResult {
  const parts = streamPartsOf(view).filter(
    (one) =>
      (wanted.part === undefined || one.id === wanted.part) &&
      (wanted.step === undefined || one.step === wanted.step) &&
      (wanted.kinds === undefined || wanted.kinds.includes(one.kind)),
  );
  const text = parts.reduce((all, one) => (one.kind === "text" ? all + one.text : all), "");
  return { parts, text, isStreaming: view.status === "running" && !view.ended, cursor: view.cursor, attempt: view.attempt };
}

/** The cursor moves with every event; only what is shown is a reason to render. */
function sameStream(a: UseRunStreamResult, b: UseRunStreamResult): boolean {
  return (
    a.isStreaming === b.isStreaming &&
    a.attempt === b.attempt &&
    a.parts.length === b.parts.length &&
    a.parts.every((part, index) => part === b.parts[index])
  );
}

/** Parts and calls of a run in the order in which they began; the same objects for the same parts and calls. */
export function streamPartsOf(view: RunView): readonly StreamPart[] {
  const all = [...view.parts, ...view.calls].sort((a, b) => a.order - b.order);
  return all.map((one) => {
    const known = made.get(one) ?? (isCall(one) ? partOfCall(one) : { ...one, call: null });
    made.set(one, known);
    return known;
  });
}

const made = new WeakMap<PartView | CallView, StreamPart>();

function isCall(one: PartView | CallView): one is CallView {
  return "written" in one;
}

function partOfCall(call: CallView): StreamPart {
  const done = call.state !== "writing" && call.state !== "running";
  return { id: call.id, kind: "tool", text: call.written, done, step: call.step, message: call.message, call };
}
