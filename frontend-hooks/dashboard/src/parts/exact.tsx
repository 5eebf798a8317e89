import { type ReactNode, useState } from "react";
import { count } from "../format.ts";

// What a person approves, to the letter: a text is told from a number, and nothing in it is invisible or turns what is around it.

const LONG = 800;
const MANY = 60;

// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not stay unseen
const UNSEEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}])/u;

/** Text whose invisible characters are shown by their numbers. */
export function Visible({ text }: { text: string }): ReactNode {
  if (!UNSEEN.test(text)) return text;
  return text.split(UNSEEN).map((part, place) => {
    if (place % 2 === 0) return part;
    const code = `U+${(part.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text have no name but their place
      <span key={place} className="unseen mono" title="A character that cannot be seen">
        {code}
      </span>
    );
  });
}

/** A JSON value, exactly: as names and values, as deep as it goes. */
export function Exact({ value }: { value: unknown }): ReactNode {
  if (typeof value === "string") return <Text text={value} />;
  if (typeof value !== "object" || value === null) return <span className="v-plain mono">{JSON.stringify(value) ?? "nothing"}</span>;
  const entries = Object.entries(value);
  if (entries.length === 0) return <span className="v-plain mono">{Array.isArray(value) ? "[]" : "{}"}</span>;
  return (
    <ul className="exact" data-list={Array.isArray(value) || undefined}>
      {entries.map(([name, one]) => (
        <Entry key={name} name={name} value={one} />
      ))}
    </ul>
  );
}

function Entry({ name, value }: { name: string; value: unknown }) {
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) {
    return (
      <li>
        <span className="v-name">
          <Visible text={name} />
        </span>
        <span className="exact-value">
          <Exact value={value} />
        </span>
      </li>
    );
  }
  const size = Object.keys(value).length;
  return (
    <li data-nested="">
      <details open={size <= MANY}>
        <summary>
          <span className="v-name">
            <Visible text={name} />
          </span>{" "}
          <span className="faint">{count(size, Array.isArray(value) ? "item" : "field")}</span>
        </summary>
        <Exact value={value} />
      </details>
    </li>
  );
}

function Text({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const cut = !open && text.length > LONG;
  return (
    <>
      <span className="v-text">
        <span className="faint">“</span>
        <Visible text={cut ? text.slice(0, LONG) : text} />
        <span className="faint">{cut ? "…" : "”"}</span>
      </span>
      {text.length > LONG ? (
        <>
          {" "}
          <button type="button" className="link small" onClick={() => setOpen(!open)} aria-expanded={open}>
            {open ? "Less" : `All ${text.length.toLocaleString()} characters`}
          </button>
        </>
      ) : null}
    </>
  );
}
