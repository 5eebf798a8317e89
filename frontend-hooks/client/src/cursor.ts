/** Where a reader is in a run's stream: `<epoch>-<seq>`, compared as two integers and never as text. */

const FORM = /^(\d{1,20})-(\d{1,20})$/;

/** Negative when `a` comes before `b`, positive when after, 0 when they are the same event. */
export function compareCursors(a: string, b: string): number {
  const [epochA, seqA] = parts(a);
  const [epochB, seqB] = parts(b);
  return compareIntegers(epochA, epochB) || compareIntegers(seqA, seqB);
}

function parts(cursor: string): readonly [string, string] {
  const match = FORM.exec(cursor);
  if (match === null) {
    throw new TypeError(`${JSON.stringify(cursor)} is not a cursor: send back the id of an event as it came, like 3-128.`);
  }
  return [match[1] as string, match[2] as string];
}

// The texts of integers without leading zeros order by length, then as text; numbers of a log may be beyond 2^53.
function compareIntegers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}
