import type { ReactNode } from "react";

export type Tone = "live" | "wait" | "bad" | "quiet";

const TONES: Record<string, Tone> = {
  running: "live",
  retrying: "wait",
  writing: "live",
  waiting: "wait",
  paused: "wait",
  pending: "wait",
  failed: "bad",
  denied: "bad",
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? "quiet";
}

const SHAPES: Record<string, ReactNode> = {
  running: (
    <>
      <circle className="pulse" cx="8" cy="8" r="4" fill="currentColor" />
      <circle cx="8" cy="8" r="4" fill="currentColor" />
    </>
  ),
  waiting: (
    <>
      <circle cx="8" cy="8" r="5.2" />
      <path d="M8 2.800a5.2 5.2 0 0 1 0 10.400z" fill="currentColor" stroke="none" />
    </>
  ),
  paused: <path d="M6 4.500v7M10 4.500v7" strokeWidth="2" />,
  completed: <path d="m3.5 8.5 3 3 6-7" />,
  failed: <path d="m4.5 4.5 7 7M11.5 4.500l-7 7" strokeWidth="1.9" />,
  cancelled: (
    <>
      <circle cx="8" cy="8" r="5.2" />
      <path d="m4.4 11.6 7.2-7.2" />
    </>
  ),
  scheduled: (
    <>
      <circle cx="8" cy="8" r="5.2" />
      <path d="M8 5.200V8l1.9 1.3" />
    </>
  ),
  expired: (
    <>
      <circle cx="8" cy="8" r="5.2" strokeDasharray="2 2" />
      <path d="M5.8 8h4.4" />
    </>
  ),
  queued: <circle cx="8" cy="8" r="5.2" strokeDasharray="2.2 2.2" />,
};

SHAPES.retrying = (
  <>
    <path d="M12.8 8a4.8 4.8 0 1 1-1.5-3.5" />
    <path d="M12.8 2.800v2.500h-2.5" />
  </>
);
SHAPES.void = SHAPES.cancelled;
SHAPES.denied = SHAPES.cancelled;
SHAPES.writing = SHAPES.running;
SHAPES.pending = SHAPES.waiting;

/** A state as a shape: never told by colour alone. Without a title the state is said beside it. */
export function Mark({ state, title }: { state: string; title?: string }) {
  const shape = (
    <svg
      className="mark"
      data-tone={toneOf(state)}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {SHAPES[state] ?? SHAPES.queued}
    </svg>
  );
  if (title === undefined) return shape;
  return (
    <span className="mark-box" title={title}>
      {shape}
      <span className="hidden">{title}</span>
    </span>
  );
}

export function Status({ state, children }: { state: string; children?: ReactNode }) {
  return (
    <span className="status" data-tone={toneOf(state)} data-status={state}>
      <Mark state={state} />
      {children ?? state}
    </span>
  );
}
