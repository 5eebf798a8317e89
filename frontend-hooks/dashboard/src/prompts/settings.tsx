import type { LintFinding } from "@agentflow/client";
import { useId } from "react";
import { type Draft, type DraftPartial, findingsAt, partial } from "./editing.ts";
import { Wrongs } from "./findings.tsx";

interface SettingsProps {
  draft: Draft;
  /** The names of the variables. */
  variables: readonly string[];
  problems: Readonly<Record<string, string>>;
  findings: readonly LintFinding[];
  onChange: (change: Partial<Draft>) => void;
}

/** What changes a call besides its messages. */
export function Settings({ draft, variables, problems, findings, onChange }: SettingsProps) {
  const isMore = draft.schema !== "" || draft.tools !== "";
  return (
    <section className="settings" aria-label="Model and parameters">
      <Model value={draft.model} findings={findingsAt(findings, "model")} onChange={(model) => onChange({ model })} />
      <Json label="Parameters" value={draft.params} problem={problems.params} onChange={(params) => onChange({ params })} />
      <Partials partials={draft.partials} findings={findings} problems={problems} onChange={(partials) => onChange({ partials })} />
      <Fenced fenced={draft.fenced} variables={variables} onChange={(fenced) => onChange({ fenced })} />
      <details className="more" open={isMore || problems.schema !== undefined || problems.tools !== undefined}>
        <summary>Schema of the answer, tools</summary>
        <Json label="Schema of the answer" value={draft.schema} problem={problems.schema} onChange={(schema) => onChange({ schema })} />
        <Json label="Tools" value={draft.tools} problem={problems.tools} onChange={(tools) => onChange({ tools })} />
      </details>
    </section>
  );
}

function Model({ value, findings, onChange }: { value: string; findings: readonly LintFinding[]; onChange: (model: string) => void }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        Model <span className="needed">optional</span>
      </label>
      <input
        id={id}
        className="input mono"
        placeholder="anthropic:claude-sonnet-4-6"
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      {findings.map((one) => (
        <p key={one.code} className="hint">
          {one.text}
        </p>
      ))}
    </div>
  );
}

interface JsonProps {
  label: string;
  value: string;
  problem: string | undefined;
  onChange: (typed: string) => void;
}

function Json({ label, value, problem, onChange }: JsonProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <span className="needed">JSON, optional</span>
      </label>
      <textarea
        id={id}
        className="input code short"
        rows={2}
        spellCheck={false}
        aria-invalid={problem !== undefined}
        aria-describedby={`${id}-about`}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      <p id={`${id}-about`} className="problem">
        {problem}
      </p>
    </div>
  );
}

interface PartialsProps {
  partials: readonly DraftPartial[];
  findings: readonly LintFinding[];
  problems: SettingsProps["problems"];
  onChange: (partials: readonly DraftPartial[]) => void;
}

/** Texts that messages take in by their names. */
function Partials({ partials, findings, problems, onChange }: PartialsProps) {
  const change = (one: DraftPartial, next: Partial<DraftPartial>) =>
    onChange(partials.map((same) => (same === one ? { ...one, ...next } : same)));
  return (
    <fieldset className="field">
      <legend>
        Partials <span className="needed">{"{{> name}} in a message"}</span>
      </legend>
      {partials.map((one) => (
        <div key={one.key} className="edit-card">
          <div className="edit-head">
            <input
              className="input mono"
              aria-label="Name of the partial"
              spellCheck={false}
              value={one.name}
              onChange={(event) => change(one, { name: event.target.value })}
            />
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove partial ${one.name}`}
              onClick={() => onChange(partials.filter((other) => other !== one))}
            >
              ×
            </button>
          </div>
          <textarea
            className="input code short"
            aria-label={`Text of partial ${one.name}`}
            aria-describedby={`partial-${one.key}-about`}
            data-place={`partial ${one.name}`}
            rows={2}
            spellCheck={false}
            value={one.text}
            onChange={(event) => change(one, { text: event.target.value })}
          />
          <Wrongs id={`partial-${one.key}-about`} findings={findingsAt(findings, `partial ${one.name}`)} />
          {problems[`partial ${one.key}`] === undefined ? null : <p className="problem">{problems[`partial ${one.key}`]}</p>}
        </div>
      ))}
      <div>
        <button type="button" className="button" onClick={() => onChange([...partials, partial("", "")])}>
          Add a partial
        </button>
      </div>
    </fieldset>
  );
}

interface FencedProps {
  fenced: readonly string[];
  variables: readonly string[];
  onChange: (fenced: readonly string[]) => void;
}

/** Variables whose text stands between tags, so that a model can tell it from what it is told. */
function Fenced({ fenced, variables, onChange }: FencedProps) {
  const names = [...new Set([...variables, ...fenced])];
  if (names.length === 0) return null;
  return (
    <fieldset className="field">
      <legend>Fenced</legend>
      <p className="hint">Their text is put between tags: it comes from outside.</p>
      <div className="checks">
        {names.map((name) => (
          <label key={name} className="check">
            <input
              type="checkbox"
              checked={fenced.includes(name)}
              onChange={(event) => onChange(event.target.checked ? [...fenced, name] : fenced.filter((one) => one !== name))}
            />
            {name}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
