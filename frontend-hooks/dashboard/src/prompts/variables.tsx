import { type DraftObject, draftsOf, type Field, Fields, type Read, type Schema } from "@agentflow/react";
import { useMemo, useState } from "react";
import { FORM } from "../asking/form-classes.ts";
import { formOf, taken, valuesOf } from "./filling.ts";
import { Taking } from "./taking.tsx";

/** The variables of a prompt as they are filled in for its preview. */
export interface Variables {
  fields: readonly Field[];
  drafts: DraftObject;
  change: (drafts: DraftObject) => void;
  /** Fill in the values of a call. */
  take: (values: Schema) => void;
  read: Read;
}

/** A form of what the contract asks of callers. */
export function useVariables(contract: Schema): Variables {
  const text = JSON.stringify(contract);
  const form = useMemo(() => formOf(JSON.parse(text) as Schema), [text]);
  const [kept, change] = useState<DraftObject>({});
  const { fields } = form;
  const drafts = useMemo(() => ({ ...draftsOf(fields, {}), ...kept }), [fields, kept]);
  const read = useMemo(() => valuesOf(form, drafts), [form, drafts]);
  return { fields, drafts, change, take: (values) => change(draftsOf(fields, taken(form, values))), read };
}

/** Those that are needed and have nothing in them, or something that does not fit. */
export function missingOf({ read }: Variables): readonly string[] {
  return [...new Set(Object.keys(read.problems).map((path) => path.split(".")[0] ?? ""))];
}

interface VariablesFormProps {
  name: string;
  variables: Variables;
}

export function VariablesForm({ name, variables }: VariablesFormProps) {
  const { fields, drafts, change, take, read } = variables;
  // What is still empty is asked for by the preview; only what was typed and does not fit is wrong.
  const typed = Object.entries(read.problems).filter(([path]) => drafts[path.split(".")[0] ?? ""]);
  return (
    <section className="variables" aria-label="Variables">
      <h2 className="section-head">Variables</h2>
      {fields.length === 0 ? null : <Taking name={name} onTake={take} />}
      {fields.length === 0 ? <p className="quiet small">It has none.</p> : null}
      <Fields fields={fields} drafts={drafts} problems={Object.fromEntries(typed)} onChange={change} classes={FORM} />
    </section>
  );
}
