import { useState } from "react";

// JSON as it is read by people: strings without noise, objects as names and values, what is long folded.

const LONG = 480;
const MANY = 40;

export function Value({ value }: { value: unknown }) {
  if (value === undefined) return <span className="faint">nothing</span>;
  if (typeof value === "string" && !isObject(value)) return <LongText text={value} />;
  if (isFlat(value)) return <Pairs value={value as Record<string, unknown>} />;
  if (isObject(value) || Array.isArray(value)) return <Tree value={value} />;
  return <Scalar value={value} />;
}

function Scalar({ value }: { value: unknown }) {
  if (typeof value === "string") return <span className="v-text">{value === "" ? <span className="faint">“”</span> : value}</span>;
  return <span className="v-plain mono">{String(value)}</span>;
}

function LongText({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  if (text === "") return <span className="faint">“”</span>;
  if (text.length <= LONG) return <p className="v-text">{text}</p>;
  return (
    <div>
      <p className="v-text">{open ? text : `${text.slice(0, LONG)}…`}</p>
      <button type="button" className="link small" onClick={() => setOpen(!open)} aria-expanded={open}>
        {open ? "Less" : `All ${text.length.toLocaleString()} characters`}
      </button>
    </div>
  );
}

function Pairs({ value }: { value: Record<string, unknown> }) {
  return (
    <dl className="pairs">
      {Object.entries(value).map(([name, one]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <Scalar value={one} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Tree({ value }: { value: unknown }) {
  return (
    <div className="tree mono">
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const label = name === undefined ? null : <span className="v-name">{name}: </span>;
  if (!isObject(value) && !Array.isArray(value)) {
    return (
      <div className="leaf">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const entries = Object.entries(value as object);
  const listed = Array.isArray(value);
  if (entries.length === 0) {
    return (
      <div className="leaf">
        {label}
        <span className="faint">{listed ? "[]" : "{}"}</span>
      </div>
    );
  }
  return (
    <details open={depth < 2 && entries.length <= MANY}>
      <summary>
        {label}
        <span className="faint">{listed ? `${entries.length} items` : peek(entries)}</span>
      </summary>
      <div className="branch">
        {entries.map(([key, one]) => (
          <Node key={key} name={key} value={one} depth={depth + 1} />
        ))}
      </div>
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") return <span className="v-string">{JSON.stringify(value)}</span>;
  return <span className="v-plain">{String(value)}</span>;
}

function peek(entries: [string, unknown][]): string {
  const names = entries.map(([name]) => name);
  return `{ ${names.slice(0, 4).join(", ")}${names.length > 4 ? ", …" : ""} }`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFlat(value: unknown): boolean {
  if (!isObject(value)) return false;
  const all = Object.values(value);
  return all.length > 0 && all.length <= 12 && all.every((one) => one === null || typeof one !== "object");
}
