import { useState } from "react";

// JSON as people read it: an object as names and values, short lists on one line, text as text; what is long is folded.

const LONG = 480;
const MANY = 40;
const SHORT = 48;

export function Value({ value }: { value: unknown }) {
  if (value === undefined) return <span className="faint">nothing</span>;
  if (isObject(value)) return isEmpty(value) ? <span className="faint">{"{}"}</span> : <Pairs value={value} />;
  if (Array.isArray(value)) return <List value={value} />;
  return <Scalar value={value} />;
}

function Scalar({ value }: { value: unknown }) {
  if (typeof value === "string") return <Text text={value} />;
  return <span className="v-plain mono">{String(value)}</span>;
}

function Text({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  if (text === "") return <span className="faint">“”</span>;
  if (text.length <= LONG) return <span className="v-text">{text}</span>;
  return (
    <>
      <span className="v-text">{open ? text : `${text.slice(0, LONG).trimEnd()}…`}</span>{" "}
      <button type="button" className="link small" onClick={() => setOpen(!open)} aria-expanded={open}>
        {open ? "Less" : `All ${text.length.toLocaleString()} characters`}
      </button>
    </>
  );
}

function Pairs({ value }: { value: Readonly<Record<string, unknown>> }) {
  const entries = Object.entries(value);
  if (entries.length > MANY) return <Tree value={value} />;
  return (
    <dl className="pairs">
      {entries.map(([name, one]) => (
        <div key={name} data-wide={isWide(one) || undefined}>
          <dt>{name}</dt>
          <dd>{isObject(one) && !isEmpty(one) ? <Tree value={one} /> : <Value value={one} />}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Whether a value needs a line of its own below its name. */
function isWide(value: unknown): boolean {
  if (typeof value === "string") return value.length > LONG;
  return (isObject(value) && !isEmpty(value)) || (Array.isArray(value) && inline(value) === null);
}

function List({ value }: { value: readonly unknown[] }) {
  const line = inline(value);
  return line === null ? <Tree value={value} /> : <span className={value.length === 0 ? "faint" : "v-text"}>{line}</span>;
}

/** A short list of plain values as one line; null for any other. */
function inline(value: readonly unknown[]): string | null {
  if (value.length === 0) return "[]";
  if (value.some((one) => typeof one === "object" && one !== null)) return null;
  const line = value.map(String).join(", ");
  return line.length <= SHORT ? line : null;
}

function Tree({ value }: { value: object }) {
  const entries = Object.entries(value);
  return (
    <ul className="tree mono">
      {entries.map(([name, one]) => (
        <Branch key={name} name={name} value={one} depth={1} />
      ))}
    </ul>
  );
}

function Branch({ name, value, depth }: { name: string; value: unknown; depth: number }) {
  if (typeof value !== "object" || value === null || isEmpty(value)) {
    return (
      <li>
        <span className="v-name">{name}: </span>
        <Leaf value={value} />
      </li>
    );
  }
  const entries = Object.entries(value);
  return (
    <li>
      <details open={depth < 2 && entries.length <= MANY}>
        <summary>
          <span className="v-name">{name}: </span>
          <span className="faint">{peek(value)}</span>
        </summary>
        <ul className="branch">
          {entries.map(([key, one]) => (
            <Branch key={key} name={key} value={one} depth={depth + 1} />
          ))}
        </ul>
      </details>
    </li>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") return <Text text={value} />;
  return <span className="v-plain">{JSON.stringify(value)}</span>;
}

function peek(value: object): string {
  if (Array.isArray(value)) return `${value.length} items`;
  const names = Object.keys(value);
  return `{ ${names.slice(0, 4).join(", ")}${names.length > 4 ? ", …" : ""} }`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
