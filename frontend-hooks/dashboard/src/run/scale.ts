// Where a moment stands on the drawing. Long stretches in which a run only waits are folded, so that three days of sleep
// do not press two seconds of work into one pixel.

import type { Span } from "./timeline.ts";

/** A stretch that is drawn narrower than its time. `from` and `to` are moments, `x0` and `x1` places between 0 and 1. */
export interface Fold {
  from: number;
  to: number;
  x0: number;
  x1: number;
}

export interface Scale {
  from: number;
  to: number;
  folds: readonly Fold[];
  x(at: number): number;
}

/** Quiet stretches longer than this part of all work, and than `SHORTEST`, are folded. */
const SHARE = 0.35;
const SHORTEST = 1_500;
/** How wide a folded stretch is. */
const WIDTH = 0.07;
const MARGIN = 0.15;

interface Stretch {
  from: number;
  to: number;
}

export function scaleOf(spans: readonly Span[], now: number): Scale {
  const ends = spans.map((span) => span.end ?? now);
  const from = Math.min(now, ...spans.map((span) => span.start));
  const to = Math.max(from + 1, ...ends, ...(spans.length === 0 ? [now] : []));
  const busy = union(spans.filter(works).map((span) => ({ from: span.start, to: Math.max(span.end ?? now, span.start) })));
  return drawn(from, to, quiet(busy, from, to));
}

/** Whether a span is work; all others are waiting. */
function works(span: Span): boolean {
  return span.kind !== "queue" && span.kind !== "wait" && span.kind !== "approval" && span.kind !== "sleep" && span.kind !== "child";
}

function union(stretches: readonly Stretch[]): Stretch[] {
  const merged: Stretch[] = [];
  for (const one of [...stretches].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && one.from <= last.to) last.to = Math.max(last.to, one.to);
    else merged.push({ ...one });
  }
  return merged;
}

function quiet(busy: readonly Stretch[], from: number, to: number): Stretch[] {
  const gaps = between(busy, from, to);
  const work = busy.reduce((sum, one) => sum + one.to - one.from, 0);
  // Without any work there is nothing to fold for.
  if (work === 0) return [];
  const long = Math.max(SHORTEST, work * SHARE);
  return gaps.filter((gap) => gap.to - gap.from > long).map((gap) => pared(gap, long * MARGIN, from, to));
}

/** A fold leaves some of its stretch to both sides in true scale, where something stands beside it. */
function pared(gap: Stretch, margin: number, from: number, to: number): Stretch {
  return { from: gap.from === from ? gap.from : gap.from + margin, to: gap.to === to ? gap.to : gap.to - margin };
}

function drawn(from: number, to: number, gaps: readonly Stretch[]): Scale {
  const wide = Math.min(WIDTH, 0.5 / Math.max(gaps.length, 1));
  const folded = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const unit = (1 - wide * gaps.length) / Math.max(to - from - folded, 1);
  const folds: Fold[] = [];
  let at = from;
  let x = 0;
  for (const gap of gaps) {
    x += (gap.from - at) * unit;
    folds.push({ ...gap, x0: x, x1: x + wide });
    x += wide;
    at = gap.to;
  }
  return { from, to, folds, x: (moment) => place(moment, from, unit, folds) };
}

function place(moment: number, from: number, unit: number, folds: readonly Fold[]): number {
  let at = from;
  let x = 0;
  for (const fold of folds) {
    if (moment <= fold.from) break;
    if (moment < fold.to) return fold.x0 + ((moment - fold.from) / (fold.to - fold.from)) * (fold.x1 - fold.x0);
    x = fold.x1;
    at = fold.to;
  }
  return Math.min(1, Math.max(0, x + (moment - at) * unit));
}

/** Moments to write below the drawing: round distances from its start, none inside a fold, none too close to another. */
export function ticks(scale: Scale, most = 5): number[] {
  const drawn = scale.to - scale.from - scale.folds.reduce((sum, fold) => sum + fold.to - fold.from, 0);
  const step = STEPS.find((one) => drawn / one <= most) ?? 365 * DAY;
  const found: number[] = [];
  let free = 0;
  for (const { from, to } of between(scale.folds, scale.from, scale.to)) {
    for (let n = Math.ceil((from - scale.from) / step); scale.from + n * step <= to; n += 1) {
      const at = scale.from + n * step;
      const x = scale.x(at);
      if (x < free || x + LABEL > 1 || scale.folds.some((fold) => x + LABEL > fold.x0 && x < fold.x1 + FOLD_LABEL)) continue;
      found.push(at);
      free = x + LABEL;
    }
  }
  return found;
}

/** How much of the drawing's width the words at a tick take, and those at a fold beside it. */
const LABEL = 0.17;
const FOLD_LABEL = 0.05;

/** What lies before, between and behind stretches that stand in order. */
function between(stretches: readonly Stretch[], from: number, to: number): Stretch[] {
  const starts = [from, ...stretches.map((one) => one.to)];
  return starts.map((start, place) => ({ from: start, to: stretches[place]?.from ?? to }));
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  6 * HOUR,
  12 * HOUR,
  24 * HOUR,
  7 * 24 * HOUR,
  30 * 24 * HOUR,
];
