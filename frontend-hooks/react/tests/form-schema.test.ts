import { describe, expect, test } from "vitest";
import {
  type DraftObject,
  draftsOf,
  type Field,
  fieldsOf,
  formDrafts,
  readAll,
  readForm,
  type Schema,
  schemaOf,
} from "../src/form-schema.ts";

// As pydantic writes it for `(order_id: str, cents: int = 100, speed: Speed | None = None, lines: list[Line] = [], express: bool = False)`.
const SCHEMA: Schema = {
  type: "object",
  $defs: {
    Speed: { enum: ["slow", "fast"], type: "string" },
    Line: {
      type: "object",
      properties: { sku: { type: "string" }, count: { type: "integer", minimum: 1, default: 1 } },
      required: ["sku"],
    },
  },
  properties: {
    order_id: { type: "string", minLength: 3 },
    cents: { type: "integer", default: 100, maximum: 500 },
    speed: { anyOf: [{ $ref: "#/$defs/Speed" }, { type: "null" }], default: null },
    lines: { type: "array", items: { $ref: "#/$defs/Line" }, default: [] },
    express: { type: "boolean", default: false },
    extra: { type: "object", additionalProperties: true, default: {} },
  },
  required: ["order_id"],
};

const fields = fieldsOf(SCHEMA);
const filled = (drafts: DraftObject): DraftObject => ({ ...draftsOf(fields, {}), ...drafts });
const kinds = (some: readonly Field[]) => Object.fromEntries(some.map((one) => [one.name, one.kind]));

describe("fields from a schema", () => {
  test("are of the kinds that people fill in", () => {
    expect(kinds(fields)).toEqual({
      order_id: "text",
      cents: "integer",
      speed: "choice",
      lines: "list",
      express: "boolean",
      extra: "json",
    });
  });

  test("follow references, also within lists", () => {
    expect(kinds(fields.find((one) => one.name === "lines")?.item?.fields ?? [])).toEqual({ sku: "text", count: "integer" });
  });

  test("know what is needed, what may be null, and what stands there at first", () => {
    const [order, cents, speed] = fields;
    expect([order?.required, cents?.required, cents?.preset, speed?.nullable]).toEqual([true, false, 100, true]);
  });

  test("end where a type holds itself", () => {
    const tree: Schema = {
      $defs: { Node: { type: "object", properties: { next: { $ref: "#/$defs/Node" } } } },
      properties: { root: { $ref: "#/$defs/Node" } },
    };
    expect(fieldsOf(tree)).toHaveLength(1);
  });

  test("leave a choice of shapes to JSON", () => {
    expect(kinds(fieldsOf({ properties: { id: { anyOf: [{ type: "string" }, { type: "integer" }] } } }))).toEqual({ id: "json" });
  });
});

// As pydantic writes it for a model that `ask()` takes.
const SHIPPING: Schema = {
  type: "object",
  $defs: { Address: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
  properties: {
    kind: { const: "shipping", title: "Kind", type: "string" },
    carrier: { enum: ["dhl", "ups"], title: "Which carrier?", type: "string" },
    extras: { type: "array", items: { enum: ["gift", "sms"], type: "string" }, minItems: 1, default: ["sms"] },
    on: { type: "string", format: "date" },
    weight: { type: "number", exclusiveMinimum: 0, multipleOf: 0.1 },
    insured: { anyOf: [{ type: "boolean" }, { type: "null" }], default: true },
    address: { $ref: "#/$defs/Address" },
  },
  required: ["kind", "carrier", "on", "weight", "address"],
};

describe("a form that a task asks for", () => {
  const asked = fieldsOf(SHIPPING);
  const given: DraftObject = {
    ...formDrafts(asked, undefined),
    carrier: '"ups"',
    on: "2027-01-31",
    weight: "0.3",
    address: { city: "Oslo" },
  };

  test("has a control for each kind of field, named as its model names it", () => {
    expect(kinds(asked)).toEqual({
      kind: "choice",
      carrier: "choice",
      extras: "choices",
      on: "text",
      weight: "number",
      insured: "choice",
      address: "object",
    });
    expect(asked.map((one) => one.label).slice(0, 2)).toEqual(["kind", "Which carrier?"]);
  });

  test("says what was chosen, what stands there at first, and what can be nothing else", () => {
    const value = {
      kind: "shipping",
      carrier: "ups",
      extras: ["sms"],
      on: "2027-01-31",
      weight: 0.3,
      insured: true,
      address: { city: "Oslo" },
    };
    expect(readForm(asked, given)).toEqual({ value, problems: {} });
    expect(readForm(asked, { ...given, insured: undefined }).value).toMatchObject({ insured: null });
  });

  test("says where it does not fit", () => {
    const wrong = { ...given, extras: [], on: "soon", weight: "0", address: { city: "" } };
    expect(readForm(fieldsOf({ ...SHIPPING, required: [...(SHIPPING.required as string[]), "extras"] }), wrong).problems).toEqual({
      extras: "At least one.",
      on: "Not a date, like 2027-01-31.",
      weight: "More than 0.",
      "address.city": "Needed.",
    });
  });

  test("is one field where one value is asked for", () => {
    const number = fieldsOf({ type: "integer", minimum: 1 });
    expect(readForm(number, formDrafts(number, 3))).toEqual({ value: 3, problems: {} });
    expect(readForm(number, { "": "0" }).problems).toEqual({ "": "At least 1." });
    expect(readForm(number, { "": "12345678901234567890" }).problems).toEqual({ "": "Too large to be told exactly." });
  });
});

describe("what a form says", () => {
  test("is a value of the right types", () => {
    const drafts = filled({
      order_id: "o-81",
      cents: "42",
      speed: '"fast"',
      express: true,
      lines: [{ sku: "a", count: "2" }],
      extra: '{"x": [1]}',
    });
    expect(readAll(fields, drafts)).toEqual({
      value: { order_id: "o-81", cents: 42, speed: "fast", express: true, lines: [{ sku: "a", count: 2 }], extra: { x: [1] } },
      problems: {},
    });
  });

  test("leaves out what was left empty, so that the task's own defaults count", () => {
    const drafts = filled({ order_id: "o-81", cents: "", speed: undefined, express: undefined, lines: [], extra: "" });
    expect(readAll(fields, drafts).value).toEqual({ order_id: "o-81" });
  });

  test("names each problem by the path of its field", () => {
    const drafts = filled({ order_id: "o", cents: "1.5", lines: [{ sku: "", count: "0" }], extra: "{" });
    const { value, problems } = readAll(fields, drafts);
    expect(value).toBeUndefined();
    expect(Object.keys(problems).sort()).toEqual(["cents", "extra", "lines.0.count", "lines.0.sku", "order_id"]);
    expect(problems.order_id).toBe("At least 3 characters.");
  });

  test.each([["abc"], ["1e999"], ["501"]])("refuses %s as a number", (typed) => {
    expect(readAll(fields, filled({ order_id: "o-81", cents: typed })).problems).toHaveProperty("cents");
  });

  test("gives null for a needed field that may be null", () => {
    const some = fieldsOf({ properties: { until: { anyOf: [{ type: "string" }, { type: "null" }] } }, required: ["until"] });
    expect(readAll(some, { until: "" }).value).toEqual({ until: null });
  });
});

describe("arguments that a model wrote", () => {
  test.each([
    [{ order_id: "o-81", cents: 4900 }],
    [{ note: "", tags: ["a", "b"], nothing: null, deep: { on: true, ratio: 0.5, rows: [{ a: 1 }] }, mixed: [] }],
  ])("come back as they were when nobody edits them", (value) => {
    const some = fieldsOf(schemaOf(value));
    expect(readAll(some, draftsOf(some, value))).toEqual({ value, problems: {} });
  });
});
