import { expect, test } from "vitest";
import { type Frame, SseParser } from "../src/index.ts";

const encoder = new TextEncoder();

function parsed(text: string, size = Number.POSITIVE_INFINITY): Frame[] {
  const parser = new SseParser();
  const bytes = encoder.encode(text);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += size) frames.push(...parser.push(bytes.slice(at, at + size)));
  return frames;
}

const frame = (data: string, id: string | null = null, event = ""): Frame => ({ data, id, event });

test.each([
  ["LF", "\n"],
  ["CRLF", "\r\n"],
  ["CR", "\r"],
])("lines may end with %s, and be split anywhere", (_, newline) => {
  const text = ["\uFEFFretry: 1000", "", ": hb", "", "id: 3-1", 'data: {"text":"é🎉"}', "", "data:a", "data: b", "", ""].join(newline);
  const expected = [frame('{"text":"é🎉"}', "3-1"), frame("a\nb")];
  for (const size of [1, 2, 3, 5, 7, 1_000]) expect(parsed(text, size)).toEqual(expected);
});

test("one space after the colon is no part of the value, and more are", () => {
  expect(parsed("data:  two\n\n")).toEqual([frame(" two")]);
});

test("a named event keeps its name, and the next one has none", () => {
  expect(parsed("event: control\ndata: 1\n\ndata: 2\n\n")).toEqual([frame("1", null, "control"), frame("2")]);
});

test("an event that is not complete is no event", () => {
  expect(parsed("data: half")).toEqual([]);
  expect(parsed("data: half\n")).toEqual([]);
});

test("what has no data is no event, and unknown fields are none", () => {
  expect(parsed("id: 1\n\nfoo: bar\n\ndata\n\n")).toEqual([frame("")]);
});
