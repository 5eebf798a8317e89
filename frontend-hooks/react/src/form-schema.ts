// A form from a JSON Schema, and a value from what was typed into it. Pure.

export type Schema = Readonly<Record<string, unknown>>;
export type FieldKind = "text" | "number" | "integer" | "boolean" | "choice" | "choices" | "object" | "list" | "json";

export interface Field {
  name: string;
  label: string;
  kind: FieldKind;
  required: boolean;
  nullable: boolean;
  description: string;
  /** The value that the task takes when none is given. */
  preset?: unknown;
  format?: string;
  options?: readonly unknown[];
  fields?: readonly Field[];
  item?: Field;
  limits: Limits;
}

export interface Limits {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
}

/** What stands in a form: text for text, numbers and JSON; the same nested for objects and lists. `undefined` is left out. */
export type Draft = string | boolean | undefined | DraftObject | readonly Draft[];
export interface DraftObject {
  readonly [name: string]: Draft;
}

export interface Read {
  value?: unknown;
  /** By the path of the field, `items.0.name`; empty when all fits. */
  problems: Readonly<Record<string, string>>;
}

const SECRET = new Set(["$defs", "$ref"]);
const NUMBERS = "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems minLength maxLength".split(" ");

/** The fields of an object's schema; of any other, one field without a name, which is the whole value. */
export function fieldsOf(schema: Schema): readonly Field[] {
  const root = resolve(schema, schema);
  if (isObject(root.properties) || root.type === "object") return objectFields(root, schema, 0);
  return [{ ...field("", schema, schema, true, 0), label: "" }];
}

/** Whether these are no fields of an object: a single one, without a name. */
function isWhole(fields: readonly Field[]): boolean {
  return fields.length === 1 && fields[0]?.name === "";
}

/** What stands in a form at first: a value, as far as there is one, and the fields' presets. */
export function formDrafts(fields: readonly Field[], value: unknown): DraftObject {
  if (!isWhole(fields)) return draftsOf(fields, record(value));
  return draftsOf(fields, value === undefined ? {} : { "": value });
}

/** The value that a form says: an object, or the single value that was asked for. */
export function readForm(fields: readonly Field[], drafts: DraftObject): Read {
  const read = readAll(fields, drafts);
  return isWhole(fields) && "value" in read ? { ...read, value: record(read.value)[""] ?? null } : read;
}

function objectFields(schema: Schema, root: Schema, depth: number): readonly Field[] {
  const needed = new Set(list(schema.required));
  return Object.entries(record(schema.properties)).map(([name, value]) => field(name, record(value), root, needed.has(name), depth));
}

function field(name: string, given: Schema, root: Schema, required: boolean, depth: number): Field {
  const { schema, nullable } = unwrapped(resolve(given, root), root);
  const base = {
    name,
    label: labelOf(name, given),
    required,
    nullable,
    description: text(given.description) || text(schema.description),
    ...("default" in given ? { preset: given.default } : {}),
    ...(typeof schema.format === "string" ? { format: schema.format } : {}),
    limits: limitsOf(schema),
  };
  const options = schema.type === "boolean" && nullable ? [true, false] : optionsOf(schema);
  if (options !== undefined) return { ...base, kind: "choice", options };
  if (depth > 6) return { ...base, kind: "json" };
  return { ...base, ...shape(schema, root, depth) };
}

/** A title that somebody gave; one that pydantic made of the name says no more than that. */
function labelOf(name: string, given: Schema): string {
  const plain = (title: string) => title.replaceAll(/[^\p{L}\p{N}]/gu, "").toLowerCase();
  const title = text(given.title);
  return title === "" || plain(title) === plain(name) ? name : title;
}

function shape(schema: Schema, root: Schema, depth: number): Pick<Field, "kind" | "fields" | "item" | "options"> {
  switch (schema.type) {
    case "string":
      return { kind: "text" };
    case "number":
      return { kind: "number" };
    case "integer":
      return { kind: "integer" };
    case "boolean":
      return { kind: "boolean" };
    case "object": {
      const fields = objectFields(schema, root, depth + 1);
      return fields.length > 0 ? { kind: "object", fields } : { kind: "json" };
    }
    case "array":
      return isObject(schema.items) ? listShape(field("", schema.items, root, true, depth + 1)) : { kind: "json" };
    default:
      return { kind: "json" };
  }
}

function listShape(item: Field): Pick<Field, "kind" | "item" | "options"> {
  return item.kind === "choice" && !item.nullable ? { kind: "choices", options: item.options ?? [] } : { kind: "list", item };
}

/** Without `null` as one of its alternatives; a choice between several shapes is left to JSON. */
function unwrapped(schema: Schema, root: Schema): { schema: Schema; nullable: boolean } {
  const several = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(several)) {
    const shapes = several.map((one) => resolve(record(one), root));
    const rest = shapes.filter((one) => one.type !== "null");
    const nullable = rest.length < shapes.length;
    if (rest.length === 1) return { schema: { ...without(schema, "anyOf", "oneOf"), ...rest[0] }, nullable };
    if (rest.length > 1 && rest.every((one) => optionsOf(one) !== undefined))
      return { schema: { enum: rest.flatMap((one) => optionsOf(one)) }, nullable };
    return { schema: {}, nullable };
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((one) => one !== "null");
    return { schema: types.length === 1 ? { ...schema, type: types[0] } : {}, nullable: types.length < schema.type.length };
  }
  return { schema, nullable: schema.type === "null" };
}

function resolve(schema: Schema, root: Schema, depth = 0): Schema {
  const target = schema.$ref;
  if (typeof target !== "string" || !target.startsWith("#/") || depth > 20) return schema;
  let found: unknown = root;
  for (const part of target.slice(2).split("/"))
    found = record(found)[decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")];
  return { ...resolve(record(found), root, depth + 1), ...without(schema, ...SECRET) };
}

function optionsOf(schema: Schema): readonly unknown[] | undefined {
  if (Array.isArray(schema.enum)) return schema.enum;
  return "const" in schema ? [schema.const] : undefined;
}

function limitsOf(schema: Schema): Limits {
  const limits: Record<string, number | string> = {};
  for (const name of NUMBERS) if (typeof schema[name] === "number") limits[name] = schema[name];
  if (typeof schema.pattern === "string") limits.pattern = schema.pattern;
  return limits;
}

/** A schema that a value fits, to edit it by: what a model asked for has no schema here. */
export function schemaOf(value: unknown): Schema {
  // An empty text could not be told from a field that was left out; as JSON it can.
  if (value === null || value === undefined || value === "") return {};
  if (Array.isArray(value)) return value.length > 0 ? { type: "array", items: schemaOf(value[0]) } : {};
  if (isObject(value)) {
    const properties = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, schemaOf(one)]));
    return { type: "object", properties, required: Object.keys(value) };
  }
  if (typeof value === "number") return { type: Number.isInteger(value) ? "integer" : "number" };
  return { type: typeof value };
}

/** What a form begins with: a value that is there, else the field's preset, else nothing. */
export function draftOf(field: Field, value: unknown = field.preset): Draft {
  return BEGINNINGS[field.kind](field, value);
}

const plain = (_: Field, value: unknown): Draft => (value === undefined || value === null ? "" : String(value));

const BEGINNINGS: Record<FieldKind, (field: Field, value: unknown) => Draft> = {
  text: plain,
  number: plain,
  integer: plain,
  boolean: (field, value) => (value === undefined && !field.required ? undefined : value === true),
  choice: ({ options = [], required }, value) => {
    // Of one thing there is nothing to choose.
    const only = required && options.length === 1 ? options[0] : undefined;
    return (value ?? only) === undefined || value === null ? undefined : JSON.stringify(value ?? only);
  },
  choices: (_, value) => (Array.isArray(value) ? value.map((one) => JSON.stringify(one)) : []),
  object: (field, value) => (value === undefined && !field.required ? undefined : draftsOf(field.fields ?? [], record(value))),
  list: (field, value) => listDraft(field.item, value),
  json: (_, value) => (value === undefined ? "" : JSON.stringify(value, null, 2)),
};

function listDraft(item: Field | undefined, value: unknown): readonly Draft[] {
  return item !== undefined && Array.isArray(value) ? value.map((one) => draftOf(item, one)) : [];
}

export function draftsOf(fields: readonly Field[], value: Schema): DraftObject {
  return Object.fromEntries(fields.map((one) => [one.name, draftOf(one, one.name in value ? value[one.name] : one.preset)]));
}

/** The object that a form says. Fields that are left empty are left out, so that the task's own defaults count. */
export function readAll(fields: readonly Field[], drafts: DraftObject, path = ""): Read {
  const value: Record<string, unknown> = {};
  let problems: Record<string, string> = {};
  for (const one of fields) {
    const read = readOne(one, drafts[one.name], path + one.name);
    if ("value" in read) value[one.name] = read.value;
    problems = { ...problems, ...read.problems };
  }
  return Object.keys(problems).length > 0 ? { problems } : { value, problems };
}

function readOne(field: Field, draft: Draft, path: string): Read {
  if (isEmpty(field, draft)) {
    // Where something else stands for what is left out, only null says that it was taken away.
    if (field.nullable && (field.required || (field.preset ?? null) !== null)) return fits(null);
    return field.required ? wrong(path, "Needed.") : { problems: {} };
  }
  switch (field.kind) {
    case "text":
      return readText(field, draft as string, path);
    case "number":
    case "integer":
      return readNumber(field, draft as string, path);
    case "boolean":
      return fits(draft);
    case "choice":
      return fits(JSON.parse(draft as string));
    case "choices":
      return counted(
        field,
        (draft as readonly string[]).map((one) => JSON.parse(one)),
        path,
      );
    case "object":
      return readAll(field.fields ?? [], draft as DraftObject, within(path));
    case "list":
      return readList(field, draft as readonly Draft[], path);
    case "json":
      return readJson(draft as string, path);
  }
}

function isEmpty(field: Field, draft: Draft): boolean {
  if (field.kind === "list" || field.kind === "choices") return !Array.isArray(draft) || (draft.length === 0 && !field.required);
  return draft === undefined || (typeof draft === "string" && draft.trim() === "");
}

function readText(field: Field, typed: string, path: string): Read {
  const { minLength, maxLength, pattern } = field.limits;
  if (minLength !== undefined && typed.length < minLength) return wrong(path, `At least ${minLength} characters.`);
  if (maxLength !== undefined && typed.length > maxLength) return wrong(path, `At most ${maxLength} characters.`);
  if (pattern !== undefined && !matches(pattern, typed)) return wrong(path, `Does not match ${pattern}.`);
  if (field.format === "date" && !/^\d{4}-\d\d-\d\d$/.test(typed)) return wrong(path, "Not a date, like 2027-01-31.");
  if (field.format === "date-time" && Number.isNaN(Date.parse(typed)))
    return wrong(path, "Not a date with a time, like 2027-01-31T12:00:00Z.");
  return fits(typed);
}

function readNumber(field: Field, typed: string, path: string): Read {
  const value = Number(typed);
  if (!Number.isFinite(value)) return wrong(path, "Not a number.");
  if (field.kind === "integer" && !Number.isSafeInteger(value))
    return wrong(path, Number.isInteger(value) ? "Too large to be told exactly." : "Not a whole number.");
  const { minimum = value, maximum = value, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity, multipleOf } = field.limits;
  if (value < minimum) return wrong(path, `At least ${minimum}.`);
  if (value > maximum) return wrong(path, `At most ${maximum}.`);
  if (value <= exclusiveMinimum) return wrong(path, `More than ${exclusiveMinimum}.`);
  if (value >= exclusiveMaximum) return wrong(path, `Less than ${exclusiveMaximum}.`);
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) return wrong(path, `A multiple of ${multipleOf}.`);
  return fits(value);
}

function isMultiple(value: number, of: number): boolean {
  // 0.3 / 0.1 is not quite 3.
  return Math.abs(value / of - Math.round(value / of)) < 1e-9;
}

function readList(field: Field, drafts: readonly Draft[], path: string): Read {
  const { item } = field;
  const reads = item === undefined ? [] : drafts.map((one, place) => readOne(item, one, within(path) + place));
  const problems = Object.assign({}, ...reads.map((one) => one.problems)) as Record<string, string>;
  const value = reads.map((one) => one.value ?? null);
  return Object.keys(problems).length > 0 ? { problems } : counted(field, value, path);
}

/** What the paths of the fields in a field begin with. */
export function within(path: string): string {
  return path === "" ? "" : `${path}.`;
}

function counted(field: Field, value: readonly unknown[], path: string): Read {
  const { minItems = 0, maxItems = value.length } = field.limits;
  if (value.length < minItems) return wrong(path, minItems === 1 ? "At least one." : `At least ${minItems}.`);
  return value.length > maxItems ? wrong(path, `At most ${maxItems}.`) : fits(value);
}

export function readJson(typed: string, path = ""): Read {
  try {
    return fits(JSON.parse(typed));
  } catch (error) {
    return wrong(path, `Not JSON: ${(error as Error).message}`);
  }
}

function matches(pattern: string, typed: string): boolean {
  try {
    return new RegExp(pattern, "u").test(typed);
  } catch {
    // A pattern of another dialect: the server decides.
    return true;
  }
}

function fits(value: unknown): Read {
  return { value, problems: {} };
}

function wrong(path: string, problem: string): Read {
  return { problems: { [path]: problem } };
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function record(value: unknown): Schema {
  return isObject(value) ? value : {};
}

function list(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function without(schema: Schema, ...names: readonly string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));
}
