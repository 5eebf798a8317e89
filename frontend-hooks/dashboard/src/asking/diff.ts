// What a person changes in what they were asked about. Pure.

/** One place that differs; `before` or `after` is missing where something was added or left out. */
export interface Change {
  readonly path: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Where two JSON values differ, in the order in which they are read. */
export function changes(before: unknown, after: unknown, path = ""): readonly Change[] {
  if (isRecord(before) && isRecord(after)) return named([...new Set([...Object.keys(before), ...Object.keys(after)])], before, after, path);
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length)
    return named(Object.keys(before), { ...before }, { ...after }, path);
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

type Fields = Readonly<Record<string, unknown>>;

function named(names: readonly string[], before: Fields, after: Fields, path: string): readonly Change[] {
  return names.flatMap((name) => {
    const place = path === "" ? name : `${path}.${name}`;
    if (!(name in after)) return [{ path: place, before: before[name] }];
    return name in before ? changes(before[name], after[name], place) : [{ path: place, after: after[name] }];
  });
}

const NEAR = 24;

/** Two texts as what they share before and after, shortened, and what differs in the middle. */
export function between(before: string, after: string): { head: string; old: string; now: string; tail: string } {
  let start = 0;
  const least = Math.min(before.length, after.length);
  while (start < least && before[start] === after[start]) start += 1;
  // The halves of one character stay together.
  if (start > 0 && isHigh(before.charCodeAt(start - 1))) start -= 1;
  let end = 0;
  while (end < least - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  if (end > 0 && isLow(before.charCodeAt(before.length - end))) end -= 1;
  const head = before.slice(0, start);
  const tail = before.slice(before.length - end);
  return {
    head: head.length > NEAR * 2 ? `…${head.slice(-NEAR)}` : head,
    old: before.slice(start, before.length - end),
    now: after.slice(start, after.length - end),
    tail: tail.length > NEAR * 2 ? `${tail.slice(0, NEAR)}…` : tail,
  };
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
