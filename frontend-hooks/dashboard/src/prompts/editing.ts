// A version while it is edited: texts as they are typed, and the body that they make. Pure.

import type { LintFinding, PromptBody, PromptMessage, PromptVersion } from "@agentflow/client";

export type Role = PromptMessage["role"] | "slot";
export const ROLES: readonly Role[] = ["system", "user", "assistant", "slot"];

/** A message; of a slot, `text` is its name. `key` stays when messages change places. */
export interface DraftMessage {
  readonly key: number;
  readonly role: Role;
  readonly text: string;
}

export interface DraftPartial {
  readonly key: number;
  readonly name: string;
  readonly text: string;
}

/** What stands in the editor. `base` is the version that it came from; JSON is kept as it is typed. */
export interface Draft {
  readonly base: number;
  readonly messages: readonly DraftMessage[];
  readonly partials: readonly DraftPartial[];
  readonly model: string;
  readonly params: string;
  readonly schema: string;
  readonly tools: string;
  readonly fenced: readonly string[];
}

let keys = 0;

function fresh(): number {
  keys += 1;
  return keys;
}

/** The draft that a version begins as. */
export function draftOf(version: PromptVersion): Draft {
  const { messages, model, params, response_schema, tools, includes, fenced } = version.body;
  return {
    base: version.number,
    messages: messages.map((one) => ("slot" in one ? message("slot", one.slot) : message(one.role, one.content))),
    partials: Object.entries(includes ?? {}).map(([name, text]) => ({ key: fresh(), name, text })),
    model: model ?? "",
    params: written(params, {}),
    schema: written(response_schema, null),
    tools: written(tools, []),
    fenced: fenced ?? [],
  };
}

export function message(role: Role, text: string): DraftMessage {
  return { key: fresh(), role, text };
}

export function partial(name: string, text: string): DraftPartial {
  return { key: fresh(), name, text };
}

function written(value: unknown, nothing: unknown): string {
  return value === undefined || value === null || JSON.stringify(value) === JSON.stringify(nothing) ? "" : JSON.stringify(value, null, 2);
}

/** A body, or what is wrong with what was typed, by field. */
export interface Made {
  readonly body: PromptBody | null;
  readonly problems: Readonly<Record<string, string>>;
}

type Kind = "an object" | "a list";

/** The body that a draft says. */
export function bodyOf(draft: Draft): Made {
  const problems: Record<string, string> = {};
  const read = <T>(field: "params" | "schema" | "tools", kind: Kind): T | undefined => {
    try {
      return parsed(draft[field], kind) as T | undefined;
    } catch (error) {
      problems[field] = (error as Error).message;
      return undefined;
    }
  };
  const params = read<Record<string, unknown>>("params", "an object");
  const schema = read<Record<string, unknown>>("schema", "an object");
  const tools = read<readonly unknown[]>("tools", "a list");
  if (draft.messages.length === 0) problems.messages = "A prompt has one message at least.";
  for (const one of draft.partials.filter(({ name }) => name.trim() === "")) problems[`partial ${one.key}`] = "It needs a name.";
  if (Object.keys(problems).length > 0) return { body: null, problems };
  const body: PromptBody = {
    engine: "af1",
    messages: draft.messages.map(({ role, text }) => (role === "slot" ? { slot: text.trim() || "history" } : { role, content: text })),
    includes: Object.fromEntries(draft.partials.map(({ name, text }) => [name.trim(), text])),
    fenced: draft.fenced,
    ...(draft.model.trim() === "" ? {} : { model: draft.model.trim() }),
    ...(params === undefined ? {} : { params }),
    ...(schema === undefined ? {} : { response_schema: schema }),
    ...(tools === undefined ? {} : { tools }),
  };
  return { body, problems };
}

function parsed(text: string, kind: Kind): unknown {
  if (text.trim() === "") return undefined;
  const value: unknown = JSON.parse(text);
  const isRight = kind === "a list" ? Array.isArray(value) : typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isRight) throw new Error(`It has to be ${kind}.`);
  return value;
}

/** Whether a draft says something else than the version that it came from. */
export function isChanged(draft: Draft, version: PromptVersion): boolean {
  return said(draft) !== said(draftOf(version));
}

function said({ messages, partials, ...rest }: Draft): string {
  const fenced = [...rest.fenced].sort();
  return JSON.stringify({
    ...rest,
    fenced,
    messages: messages.map(({ role, text }) => [role, text]),
    partials: partials.map(({ name, text }) => [name, text]),
  });
}

/** A list with one entry a place further up or down. */
export function moved<T>(list: readonly T[], at: number, by: 1 | -1): readonly T[] {
  const to = at + by;
  const one = list[at];
  const other = list[to];
  if (one === undefined || other === undefined) return list;
  return list.map((same, place) => (place === at ? other : place === to ? one : same));
}

/** The findings at a place, `message 2` or `partial rules`. */
export function findingsAt(findings: readonly LintFinding[], place: string): readonly LintFinding[] {
  return findings.filter(({ where }) => where === place || where.startsWith(`${place} (`));
}

/** Where a line and a column, both counted from 1, are in a text. */
export function offsetOf(text: string, line: number, column: number): number {
  let start = 0;
  for (let passed = 1; passed < line; passed += 1) {
    const next = text.indexOf("\n", start);
    if (next < 0) return text.length;
    start = next + 1;
  }
  // Columns count characters, places count halves of them.
  return start + [...text.slice(start)].slice(0, column - 1).join("").length;
}

/** The slots of a body, each with an entry that shows where its messages go. */
export function slotsOf(body: PromptBody): Readonly<Record<string, readonly unknown[]>> {
  return Object.fromEntries(body.messages.flatMap((one) => ("slot" in one ? [[one.slot, [{ slot: one.slot }]]] : [])));
}
