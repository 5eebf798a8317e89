// The variables of a prompt as a form has them. Pure.

import { type DraftObject, type Field, fieldsOf, type Read, readAll, type Schema } from "@agentflow/react";
import { valueFrom } from "../asking/words.ts";

/** The fields of a contract. Of those that are `open` it says no type: JSON is read as such, and all else as the text that it is. */
export interface VariableForm {
  readonly fields: readonly Field[];
  readonly open: ReadonlySet<string>;
}

export function formOf(contract: Schema): VariableForm {
  const properties = (contract.properties ?? {}) as Readonly<Record<string, Schema>>;
  const names = Object.keys(properties);
  const open = new Set(names.filter((name) => Object.keys(properties[name] ?? {}).length === 0));
  const typed = Object.fromEntries(names.map((name) => [name, open.has(name) ? { type: "string" } : properties[name]]));
  return { fields: names.length === 0 ? [] : fieldsOf({ ...contract, type: "object", properties: typed }), open };
}

/** What a form says. */
export function valuesOf({ fields, open }: VariableForm, drafts: DraftObject): Read {
  const read = readAll(fields, drafts);
  if (!("value" in read)) return read;
  const values = Object.entries(read.value as Schema).map(([name, value]) => [name, open.has(name) ? valueFrom(String(value)) : value]);
  return { ...read, value: Object.fromEntries(values) };
}

/** The values of a call, as a form can show them. */
export function taken({ open }: VariableForm, values: Schema): Schema {
  const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, open.has(name) ? shown(value) : value]));
}
