import { type ReactNode, useId } from "react";
import { CloseIcon } from "../parts/icons.tsx";
import { type Draft, type DraftObject, draftOf, type Field } from "./schema.ts";

interface FieldsProps {
  fields: readonly Field[];
  drafts: DraftObject;
  problems: Readonly<Record<string, string>>;
  onChange: (drafts: DraftObject) => void;
  path?: string;
}

/** The fields of an object, one below the other. */
export function Fields({ fields, drafts, problems, onChange, path = "" }: FieldsProps) {
  return fields.map((field) => (
    <Entry
      key={field.name}
      field={field}
      draft={drafts[field.name]}
      problems={problems}
      path={path + field.name}
      onChange={(draft) => onChange({ ...drafts, [field.name]: draft })}
    />
  ));
}

interface EntryProps {
  field: Field;
  draft: Draft;
  problems: Readonly<Record<string, string>>;
  path: string;
  onChange: (draft: Draft) => void;
}

function Entry(props: EntryProps) {
  switch (props.field.kind) {
    case "object":
      return <ObjectEntry {...props} />;
    case "list":
      return <ListEntry {...props} />;
    case "boolean":
      return <Check {...props} />;
    default:
      return <Line {...props} />;
  }
}

/** A field with a name above its control. */
function Line({ field, draft, problems, path, onChange }: EntryProps) {
  const id = useId();
  const problem = problems[path];
  const described = { id, "aria-invalid": problem !== undefined, "aria-describedby": `${id}-about`, "aria-required": field.required };
  return (
    <div className="field">
      {field.label === "" ? null : <Name id={id} field={field} />}
      <Control field={field} draft={draft} onChange={onChange} described={described} />
      <About id={`${id}-about`} field={field} problem={problem} />
    </div>
  );
}

interface ControlProps {
  field: Field;
  draft: Draft;
  onChange: (draft: Draft) => void;
  described: Readonly<Record<string, string | boolean>>;
}

const TYPES: Record<string, string> = { date: "date", time: "time", email: "email", uri: "url", password: "password" };

function Control(props: ControlProps) {
  const { kind, format } = props.field;
  if (kind === "choice") return <Choice {...props} />;
  if (kind === "json") return <Text {...props} className="input code" rows={3} placeholder="JSON" />;
  if (kind === "text" && format === undefined) return <Text {...props} className="input line" rows={1} />;
  return <Single {...props} />;
}

function typed(draft: Draft): string {
  return typeof draft === "string" ? draft : "";
}

function Choice({ field, draft, onChange, described }: ControlProps) {
  return (
    <select className="input" {...described} value={typed(draft)} onChange={(event) => onChange(event.target.value || undefined)}>
      <option value="">{field.required ? "Choose…" : "–"}</option>
      {field.options?.map((option) => (
        <option key={JSON.stringify(option)} value={JSON.stringify(option)}>
          {String(option)}
        </option>
      ))}
    </select>
  );
}

/** Text of as many lines as it takes; it grows with them. */
function Text({ draft, onChange, described, ...rest }: ControlProps & { className: string; rows: number; placeholder?: string }) {
  const { field: _, ...look } = rest;
  return <textarea {...look} {...described} spellCheck={false} value={typed(draft)} onChange={(event) => onChange(event.target.value)} />;
}

const MODES: Partial<Record<Field["kind"], "numeric" | "decimal">> = { integer: "numeric", number: "decimal" };

function Single({ field, draft, onChange, described }: ControlProps) {
  return (
    <input
      className="input"
      type={TYPES[field.format ?? ""] ?? "text"}
      inputMode={MODES[field.kind]}
      placeholder={field.format === "date-time" ? "2027-01-31T12:00:00Z" : undefined}
      {...described}
      value={typed(draft)}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

function Name({ id, field }: { id: string; field: Field }) {
  return (
    <label htmlFor={id}>
      {field.label} {field.required ? null : <span className="needed">optional</span>}
    </label>
  );
}

function About({ id, field, problem }: { id: string; field: Field; problem: string | undefined }) {
  return (
    <div id={id}>
      {field.description ? <p className="hint">{field.description}</p> : null}
      {problem ? (
        <p className="problem" role="alert">
          {problem}
        </p>
      ) : null}
    </div>
  );
}

function Check({ field, draft, onChange }: EntryProps) {
  return (
    <div className="field">
      <label className="check">
        <input type="checkbox" checked={draft === true} onChange={(event) => onChange(event.target.checked)} />
        {field.label}
      </label>
      {field.description ? <p className="hint">{field.description}</p> : null}
    </div>
  );
}

function Group({ field, children }: { field: Field; children: ReactNode }) {
  return (
    <fieldset className="field">
      {field.label === "" ? null : (
        <legend>
          {field.label} {field.required ? null : <span className="needed">optional</span>}
        </legend>
      )}
      {field.description ? <p className="hint">{field.description}</p> : null}
      {children}
    </fieldset>
  );
}

function ObjectEntry({ field, draft, problems, path, onChange }: EntryProps) {
  if (draft === undefined) {
    return (
      <Group field={field}>
        <AddButton onClick={() => onChange(draftOf({ ...field, required: true }))}>Fill in</AddButton>
      </Group>
    );
  }
  return (
    <Group field={field}>
      <div className="nested">
        <Fields fields={field.fields ?? []} drafts={draft as DraftObject} problems={problems} path={`${path}.`} onChange={onChange} />
        {field.required ? null : <AddButton onClick={() => onChange(undefined)}>Leave out</AddButton>}
      </div>
    </Group>
  );
}

function ListEntry({ field, draft, problems, path, onChange }: EntryProps) {
  const drafts = Array.isArray(draft) ? (draft as readonly Draft[]) : [];
  const item = field.item;
  if (item === undefined) return null;
  return (
    <Group field={field}>
      {drafts.map((one, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: entries of a form have no name but their place
        <div className="list-row" key={place}>
          <Entry
            field={item}
            draft={one}
            problems={problems}
            path={`${path}.${place}`}
            onChange={(next) => onChange(drafts.with(place, next))}
          />
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove ${field.label} ${place + 1}`}
            onClick={() => onChange(drafts.toSpliced(place, 1))}
          >
            <CloseIcon />
          </button>
        </div>
      ))}
      <AddButton onClick={() => onChange([...drafts, draftOf(item)])}>Add</AddButton>
    </Group>
  );
}

function AddButton({ onClick, children }: { onClick: () => void; children: ReactNode }) {
  return (
    <div>
      <button type="button" className="button" onClick={onClick}>
        {children}
      </button>
    </div>
  );
}
