import { expect, test } from "vitest";
import { compareCursors } from "../src/index.ts";

test.each([
  ["9-2", "10-0", -1],
  ["3-128", "3-27", 1],
  ["3-128", "3-128", 0],
  ["1-99999999999999999998", "1-99999999999999999999", -1],
])("%s against %s is %i, as integers", (a, b, expected) => {
  expect(Math.sign(compareCursors(a, b))).toBe(expected);
  expect(Math.sign(compareCursors(b, a))).toBe(expected === 0 ? 0 : -expected);
});

test("what is not a cursor is said, and not guessed at", () => {
  expect(() => compareCursors("1", "1-0")).toThrow(/is not a cursor/);
});
