import type { PromptInfo, PromptVersion } from "@agentflow/client";
import { type ReactNode, useId } from "react";
import type { Metric, Mode, Part, Plan, Sticky } from "./releasing.ts";
import { metricWord } from "./words.ts";

interface PlanProps {
  plan: Plan;
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  onChange: (plan: Plan) => void;
}

const MODES: readonly { name: string; value: Mode }[] = [
  { name: "One version", value: "pinned" },
  { name: "Several", value: "rollout" },
  { name: "The code's", value: "code" },
];

/** What shall hold where, for how long and why. */
export function PlanFields({ plan, prompt, versions, onChange }: PlanProps) {
  const change = (part: Partial<Plan>) => onChange({ ...plan, ...part });
  return (
    <>
      <div className="plan-row">
        <Line label="Environment" value={plan.env} onChange={(env) => change({ env })} among={prompt.bindings.map((one) => one.env)} />
        <Line label="Label" value={plan.label} onChange={(label) => change({ label })} among={prompt.bindings.map((one) => one.label)} />
        <fieldset className="segments" aria-label="What shall hold">
          {MODES.map(({ name, value }) => (
            <button key={value} type="button" aria-pressed={plan.mode === value} onClick={() => change({ mode: value })}>
              {name}
            </button>
          ))}
        </fieldset>
      </div>
      {plan.mode === "pinned" ? (
        <div className="plan-row">
          <VersionField label="Version" value={plan.version} versions={versions} onChange={(version) => change({ version })} />
          <Expiry value={plan.expires} onChange={(expires) => change({ expires })} />
        </div>
      ) : null}
      {plan.mode === "rollout" ? <Rollout plan={plan} versions={versions} onChange={change} /> : null}
      <Line label="Reason" value={plan.reason} onChange={(reason) => change({ reason })} />
    </>
  );
}

interface LineProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** What others said there. */
  among?: readonly string[];
}

export function Line({ label, value, onChange, among = [] }: LineProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="input"
        list={among.length > 0 ? `${id}-list` : undefined}
        autoComplete="off"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      {among.length > 0 ? (
        <datalist id={`${id}-list`}>
          {[...new Set(among)].map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      ) : null}
    </div>
  );
}

interface VersionFieldProps {
  label: string;
  value: number;
  versions: readonly PromptVersion[];
  onChange: (version: number) => void;
  hidden?: boolean;
  /** Also those that were taken back. */
  all?: boolean;
}

/** One of the versions, of those that have not been taken back unless `all` are meant. */
export function VersionField({ label, value, versions, onChange, hidden = false, all = false }: VersionFieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id} className={hidden ? "hidden" : undefined}>
        {label}
      </label>
      <select id={id} className="input" value={value} onChange={(event) => onChange(Number(event.target.value))}>
        {versions.map((one) => (
          <option key={one.number} value={one.number} disabled={!all && one.revoked_at !== null}>
            v{one.number}
            {one.revoked_at === null ? "" : ", taken back"}
            {one.note === "" ? "" : ` – ${one.note.slice(0, 48)}`}
          </option>
        ))}
      </select>
    </div>
  );
}

const EXPIRIES = [
  { value: "", name: "never" },
  { value: "1h", name: "after an hour" },
  { value: "1d", name: "after a day" },
  { value: "3d", name: "after three days" },
  { value: "7d", name: "after a week" },
];

function Expiry({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <Choice label="Goes back to the code" value={value} onChange={onChange}>
      {EXPIRIES.map((one) => (
        <option key={one.value} value={one.value}>
          {one.name}
        </option>
      ))}
    </Choice>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ReactNode;
}

function Choice({ label, value, onChange, children }: ChoiceProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} className="input" value={value} onChange={(event) => onChange(event.target.value)}>
        {children}
      </select>
    </div>
  );
}

interface RolloutProps {
  plan: Plan;
  versions: readonly PromptVersion[];
  onChange: (change: Partial<Plan>) => void;
}

const WATCHED: readonly Metric[] = ["error_rate", "cost", "latency", "first_token"];

function Rollout({ plan, versions, onChange }: RolloutProps) {
  const { parts } = plan;
  const put = (next: readonly Part[]) => onChange({ parts: next });
  const change = (at: number, part: Partial<Part>) => put(parts.map((one, place) => (place === at ? { ...one, ...part } : one)));
  const next = versions.find((one) => one.revoked_at === null && parts.every((part) => part.version !== one.number));
  return (
    <fieldset className="field">
      <legend>Versions and their shares</legend>
      {parts.map((part, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts have no name but their place
        <div key={at} className="plan-part">
          <VersionField
            hidden
            label={`Version ${at + 1}`}
            value={part.version}
            versions={versions}
            onChange={(version) => change(at, { version })}
          />
          <input
            className="input"
            inputMode="decimal"
            aria-label={`Share of version ${at + 1}`}
            value={part.share}
            onChange={(event) => change(at, { share: event.target.value })}
          />
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove version ${at + 1}`}
            disabled={parts.length === 1}
            onClick={() => put(parts.filter((_, place) => place !== at))}
          >
            ×
          </button>
        </div>
      ))}
      <div className="row">
        {next === undefined ? null : (
          <button type="button" className="button" onClick={() => put([...parts, { version: next.number, share: "10" }])}>
            Add a version
          </button>
        )}
        <Choice label="A version is kept by" value={plan.sticky} onChange={(value) => onChange({ sticky: value as Sticky })}>
          <option value="run">its run</option>
          <option value="thread">its thread</option>
          <option value="key">the key that code gives</option>
        </Choice>
        <Choice
          label={`v${parts[0]?.version} takes all when others are worse in`}
          value={plan.watched}
          onChange={(value) => onChange({ watched: value as Metric | "" })}
        >
          <option value="">nothing</option>
          {WATCHED.map((one) => (
            <option key={one} value={one}>
              {metricWord(one)}
            </option>
          ))}
        </Choice>
      </div>
    </fieldset>
  );
}
