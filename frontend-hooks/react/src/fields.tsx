import { type ReactNode, useId } from "react";
import { type Draft, type DraftObject, draftOf, type Field, within } from "./form-schema.ts";

/** Names of CSS classes for the parts of a form; `af-` and the part's name unless given. */
export type FormClasses = Partial<Record<FormPart, string>>;
export type FormPart =
  | "form"
  | "field"
  | "input"
  | "line"
  | "code"
  | "needed"
  | "hint"
  | "problem"
  | "nested"
  | "item"
  | "check"
  | "checks"
  | "button"
  | "remove"
  | "submit"
  | "actions";

/** The class of a part. */
export function classOf(classes: FormClasses | undefined, part: FormPart): string {
  return classes?.[part] ?? `af-${part}`;
}

export interface FieldsProps {
  readonly fields: readonly Field[];
  readonly drafts: DraftObject;
  /** By the path of the field, `items.0.name`. */
  readonly problems: Readonly<Record<string, string>>;
  readonly onChange: (drafts: DraftObject) => void;
  readonly classes?: FormClasses | undefined;
  readonly path?: string;
}

/** The fields of an object, one below the other. */
export function Fields({ fields, drafts, problems, onChange, classes, path = "" }: FieldsProps): ReactNode {
  return fields.map((field) => (
    <Entry
      key={field.name}
      field={field}
      draft={drafts[field.name]}
      problems={problems}
      classes={classes}
      path={path + field.name}
      onChange={(draft) => onChange({ ...drafts, [field.name]: draft })}
    />
  ));
}

interface EntryProps {
  field: Field;
  draft: Draft;
  problems: Readonly<Record<string, string>>;
  classes: FormClasses | undefined;
  path: string;
  onChange: (draft: Draft) => void;
}

function Entry(props: EntryProps) {
  switch (props.field.kind) {
    case "object":
      return <ObjectEntry {...props} />;
    case "list":
      return <ListEntry {...props} />;
    case "choices":
      return <Choices {...props} />;
    case "boolean":
      return <Check {...props} />;
    default:
      return <Line {...props} />;
  }
}

/** A field with a name above its control. */
function Line({ field, draft, problems, classes, path, onChange }: EntryProps) {
  const id = useId();
  const problem = problems[path];
  const described = { id, "aria-invalid": problem !== undefined, "aria-describedby": `${id}-about`, "aria-required": field.required };
  const unnamed = field.label === "" ? { "aria-label": path || "Answer" } : {};
  return (
    <div className={classOf(classes, "field")}>
      {field.label === "" ? null : (
        <label htmlFor={id}>
          {field.label} <Optional field={field} classes={classes} />
        </label>
      )}
      <Control field={field} draft={draft} onChange={onChange} classes={classes} described={{ ...described, ...unnamed }} />
      <About id={`${id}-about`} field={field} problem={problem} classes={classes} />
    </div>
  );
}

interface ControlProps {
  field: Field;
  draft: Draft;
  classes: FormClasses | undefined;
  onChange: (draft: Draft) => void;
  described: Readonly<Record<string, string | boolean>>;
}

const TYPES: Record<string, string> = { date: "date", time: "time", email: "email", uri: "url", password: "password" };

function Control(props: ControlProps) {
  const { kind, format } = props.field;
  if (kind === "choice") return <Choice {...props} />;
  if (kind === "json") return <Text {...props} part="code" rows={3} placeholder="JSON" />;
  if (kind === "text" && format === undefined) return <Text {...props} part="line" rows={1} />;
  return <Single {...props} />;
}

function typed(draft: Draft): string {
  return typeof draft === "string" ? draft : "";
}

const WORDS = new Map<unknown, string>([
  [true, "yes"],
  [false, "no"],
]);

function wordOf(option: unknown): string {
  return WORDS.get(option) ?? (typeof option === "string" ? option : JSON.stringify(option));
}

function Choice({ field, draft, onChange, classes, described }: ControlProps) {
  return (
    <select
      className={classOf(classes, "input")}
      {...described}
      value={typed(draft)}
      onChange={(event) => onChange(event.target.value || undefined)}
    >
      <option value="">{field.required && !field.nullable ? "Choose…" : "–"}</option>
      {field.options?.map((option) => (
        <option key={JSON.stringify(option)} value={JSON.stringify(option)}>
          {wordOf(option)}
        </option>
      ))}
    </select>
  );
}

/** Text of as many lines as it takes. */
function Text(props: ControlProps & { part: "line" | "code"; rows: number; placeholder?: string }) {
  const { draft, onChange, classes, described, part, rows, placeholder } = props;
  return (
    <textarea
      className={classOf(classes, part)}
      rows={rows}
      placeholder={placeholder}
      {...described}
      spellCheck={false}
      value={typed(draft)}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

const MODES: Partial<Record<Field["kind"], "numeric" | "decimal">> = { integer: "numeric", number: "decimal" };

function Single({ field, draft, onChange, classes, described }: ControlProps) {
  return (
    <input
      className={classOf(classes, "input")}
      type={TYPES[field.format ?? ""] ?? "text"}
      inputMode={MODES[field.kind]}
      placeholder={field.format === "date-time" ? "2027-01-31T12:00:00Z" : undefined}
      {...described}
      value={typed(draft)}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

function Optional({ field, classes }: { field: Field; classes: FormClasses | undefined }) {
  return field.required && !field.nullable ? null : <span className={classOf(classes, "needed")}>optional</span>;
}

interface AboutProps {
  id: string;
  field: Field;
  problem: string | undefined;
  classes: FormClasses | undefined;
}

function About({ id, field, problem, classes }: AboutProps) {
  return (
    <div id={id}>
      {field.description ? <p className={classOf(classes, "hint")}>{field.description}</p> : null}
      <Problem problem={problem} classes={classes} />
    </div>
  );
}

function Problem({ problem, classes }: { problem: string | undefined; classes: FormClasses | undefined }) {
  return problem === undefined ? null : (
    <p className={classOf(classes, "problem")} role="alert">
      {problem}
    </p>
  );
}

function Check({ field, draft, problems, classes, path, onChange }: EntryProps) {
  const id = useId();
  const problem = problems[path];
  return (
    <div className={classOf(classes, "field")}>
      <label className={classOf(classes, "check")}>
        <input
          type="checkbox"
          checked={draft === true}
          aria-invalid={problem !== undefined}
          aria-describedby={`${id}-about`}
          onChange={(event) => onChange(event.target.checked)}
        />
        {field.label || "Yes"}
      </label>
      <About id={`${id}-about`} field={field} problem={problem} classes={classes} />
    </div>
  );
}

interface GroupProps {
  field: Field;
  problem: string | undefined;
  classes: FormClasses | undefined;
  children: ReactNode;
}

function Group({ field, problem, classes, children }: GroupProps) {
  return (
    <fieldset className={classOf(classes, "field")}>
      {field.label === "" ? null : (
        <legend>
          {field.label} <Optional field={field} classes={classes} />
        </legend>
      )}
      {field.description ? <p className={classOf(classes, "hint")}>{field.description}</p> : null}
      {children}
      <Problem problem={problem} classes={classes} />
    </fieldset>
  );
}

/** Several of a list, each once. */
function Choices({ field, draft, problems, classes, path, onChange }: EntryProps) {
  const chosen = Array.isArray(draft) ? (draft as readonly string[]) : [];
  const toggle = (option: string, on: boolean) => onChange(on ? [...chosen, option] : chosen.filter((one) => one !== option));
  return (
    <Group field={field} problem={problems[path]} classes={classes}>
      <div className={classOf(classes, "checks")}>
        {field.options?.map((option) => {
          const text = JSON.stringify(option);
          return (
            <label className={classOf(classes, "check")} key={text}>
              <input type="checkbox" checked={chosen.includes(text)} onChange={(event) => toggle(text, event.target.checked)} />
              {wordOf(option)}
            </label>
          );
        })}
      </div>
    </Group>
  );
}

function ObjectEntry({ field, draft, problems, classes, path, onChange }: EntryProps) {
  const group = { field, classes, problem: problems[path] };
  if (draft === undefined) {
    return (
      <Group {...group}>
        <Small classes={classes} onClick={() => onChange(draftOf({ ...field, required: true }))}>
          Fill in
        </Small>
      </Group>
    );
  }
  return (
    <Group {...group}>
      <div className={classOf(classes, "nested")}>
        <Fields
          fields={field.fields ?? []}
          drafts={draft as DraftObject}
          problems={problems}
          classes={classes}
          path={within(path)}
          onChange={onChange}
        />
        {field.required && !field.nullable ? null : (
          <Small classes={classes} onClick={() => onChange(undefined)}>
            Leave out
          </Small>
        )}
      </div>
    </Group>
  );
}

function ListEntry({ field, draft, problems, classes, path, onChange }: EntryProps) {
  const drafts = Array.isArray(draft) ? (draft as readonly Draft[]) : [];
  const item = field.item;
  if (item === undefined) return null;
  return (
    <Group field={field} problem={problems[path]} classes={classes}>
      {drafts.map((one, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: entries of a form have no name but their place
        <div className={classOf(classes, "item")} key={place}>
          <Entry
            field={item}
            draft={one}
            problems={problems}
            classes={classes}
            path={within(path) + place}
            onChange={(next) => onChange(drafts.map((same, at) => (at === place ? next : same)))}
          />
          <button
            type="button"
            className={classOf(classes, "remove")}
            aria-label={`Remove ${field.label} ${place + 1}`}
            onClick={() => onChange(drafts.filter((_, at) => at !== place))}
          >
            ×
          </button>
        </div>
      ))}
      <Small classes={classes} onClick={() => onChange([...drafts, draftOf(item)])}>
        Add
      </Small>
    </Group>
  );
}

function Small({ classes, onClick, children }: { classes: FormClasses | undefined; onClick: () => void; children: ReactNode }) {
  return (
    <div>
      <button type="button" className={classOf(classes, "button")} onClick={onClick}>
        {children}
      </button>
    </div>
  );
}
