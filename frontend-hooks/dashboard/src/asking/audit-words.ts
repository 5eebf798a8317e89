// How an entry of the audit is told. Pure.

import type { AuditEntry } from "@agentflow/client";
import { choiceWord, whyWord } from "./words.ts";

/** The types of entries, as they are chosen by. */
export const TYPES = [
  "decision",
  "answer",
  "timeout",
  "cancel",
  "supersede",
  "reassign",
  "remind",
  "escalate",
  "link",
  "lock",
  "grant",
] as const;

const DEEDS: Readonly<Record<string, string>> = {
  answer: "answered",
  timeout: "nobody answered in time",
  cancel: "took it back",
  supersede: "something else took its place",
  reassign: "gave it to others",
  remind: "reminded people",
  escalate: "brought more people in",
  link: "made a link",
  lock: "too many wrong tries: locked",
};
const GRANTS: Readonly<Record<string, string>> = { give: "gave a grant", use: "let a call through", revoke: "took a grant back" };

/** What was done: "approved", "gave a grant". */
export function deedWords({ type, detail }: AuditEntry): string {
  const { choice, counted, why } = detailOf(detail);
  if (type === "grant") return GRANTS[String(choice)] ?? "grant";
  const deed = type === "decision" && typeof choice === "string" ? choiceWord(choice) : (DEEDS[type] ?? type);
  return counted === false ? `${deed}, which does not count: ${whyWord(typeof why === "string" ? why : null)}` : deed;
}

/** Who did it; a grant acts for whoever gave it. */
export function actorWords({ actor, detail }: AuditEntry): string {
  const { granted_by } = detailOf(detail);
  return actor.startsWith("grant:") && typeof granted_by === "string" ? `A grant of ${granted_by}` : actor;
}

/** Whether an entry has a text in who did it, by which way, and what it is about: that is how it is looked for. */
export function isFound(entry: AuditEntry, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return [entry.actor, entry.via, entry.waitpoint, entry.run].some((one) => (one ?? "").toLowerCase().includes(wanted));
}

function detailOf(detail: unknown): Readonly<Record<string, unknown>> {
  return typeof detail === "object" && detail !== null ? (detail as Record<string, unknown>) : {};
}
