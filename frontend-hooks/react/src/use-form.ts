import { useCallback, useMemo, useState } from "react";
import { type DraftObject, type Field, fieldsOf, formDrafts, type Read, readForm, type Schema, schemaOf } from "./form-schema.ts";

export interface UseFormOptions {
  /** What stands in the form at first. */
  readonly value?: unknown;
}

/** A form: what stands in it, and what is wrong with it. */
export interface UseFormResult {
  readonly fields: readonly Field[];
  readonly drafts: DraftObject;
  readonly setDrafts: (drafts: DraftObject) => void;
  /** By the path of the field, `items.0.name`; those of the form once it was submitted, and what the server refused. */
  readonly problems: Read["problems"];
  /** What the form says as it stands; undefined while it does not fit. */
  readonly value: unknown;
  /** What the form says; undefined, with its problems shown, when it does not fit. */
  readonly submit: () => { readonly value: unknown } | undefined;
  /** Show what the server does not take, each until its field changes. */
  readonly refuse: (problems: Read["problems"]) => void;
}

/**
 * A form from a JSON Schema, as pydantic writes it; without one, from the value. It draws nothing: see `Fields`.
 *
 *     const form = useForm(waitpoint.schema);
 *     <Fields fields={form.fields} drafts={form.drafts} problems={form.problems} onChange={form.setDrafts} />
 */
export function useForm(schema: unknown, { value }: UseFormOptions = {}): UseFormResult {
  const [fields] = useState(() => fieldsOf(isSchema(schema) ? schema : schemaOf(value)));
  const [drafts, keep] = useState(() => formDrafts(fields, value));
  const [tried, setTried] = useState(false);
  const [refused, refuse] = useState<Read["problems"]>({});
  const read = useMemo(() => readForm(fields, drafts), [fields, drafts]);
  const setDrafts = useCallback(
    (next: DraftObject) => {
      keep(next);
      const changed = fields.filter(({ name }) => next[name] !== drafts[name]).map(({ name }) => name);
      refuse((last) => Object.fromEntries(Object.entries(last).filter(([path]) => !changed.includes(path.split(".")[0] ?? ""))));
    },
    [fields, drafts],
  );
  const submit = useCallback(() => {
    setTried(true);
    return "value" in read ? { value: read.value } : undefined;
  }, [read]);
  return { fields, drafts, setDrafts, problems: { ...refused, ...(tried ? read.problems : {}) }, value: read.value, submit, refuse };
}

function isSchema(schema: unknown): schema is Schema {
  return typeof schema === "object" && schema !== null && !Array.isArray(schema) && Object.keys(schema).length > 0;
}
