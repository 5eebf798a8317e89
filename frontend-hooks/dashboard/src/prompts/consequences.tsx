import type { PromptBinding, PromptInfo, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { count } from "../format.ts";
import { useAnswer } from "../live/answer.ts";
import { usePins } from "../live/prompts.ts";
import { Bones, Trouble } from "../parts/said.tsx";
import { Mark } from "../parts/status.tsx";
import { Rule } from "./asked.tsx";
import { Difference } from "./difference.tsx";
import { brought, type Plan } from "./releasing.ts";
import { holdsWord, modeWord } from "./words.ts";

interface ConsequencesProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  plan: Plan;
  seen: PromptBinding | null;
}

/** What a release would change: the texts, whether the code can fill them, and who goes on as before. */
export function Consequences({ prompt, versions, plan, seen }: ConsequencesProps) {
  const next = brought(plan, seen);
  return (
    <section className="consequences" aria-label="What it changes">
      <p className="quiet">
        {seen === null ? "Nothing holds there yet." : `Now ${holdsWord(seen)} holds there (${modeWord(seen)}).`}
        {plan.mode === "code" && next === null ? " No code is deployed there: the caller's own version would hold." : ""}
      </p>
      {seen?.protected ? (
        <p className="note">
          It is protected: only whoever may release in {seen.env} moves it (<code>prompt:release:{seen.env}</code>).
        </p>
      ) : null}
      {plan.env.trim() === "" ? null : <Rule name={prompt.name} env={plan.env.trim()} />}
      <Fits name={prompt.name} version={versions.find((one) => one.number === next)} />
      <Keep name={prompt.name} version={seen?.version ?? null} />
      <Change name={prompt.name} before={seen?.version ?? null} after={next} />
    </section>
  );
}

/** Whether the code can fill the version in: what it cannot, the server does not release. */
function Fits({ name, version }: { name: string; version: PromptVersion | undefined }) {
  const client = useAgentflow();
  const key = version === undefined ? null : JSON.stringify([name, version.hash]);
  const { data } = useAnswer(key, (signal) => client.prompts.lint(name, (version as PromptVersion).body, { signal }));
  if (version === undefined || data === null) return null;
  const wrong = data.findings.filter((one) => one.wrong);
  if (wrong.length === 0) {
    return (
      <p className="small">
        <Mark state="completed" /> The code gives v{version.number} all its variables.
      </p>
    );
  }
  return (
    <div className="trouble">
      <b>The code cannot fill v{version.number} in.</b>
      <ul>
        {wrong.map((one) => (
          <li key={`${one.where} ${one.line} ${one.column} ${one.text}`}>
            {one.where}: {one.text}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Runs that hold a version go on with it, whatever is released. */
export function Keep({ name, version }: { name: string; version: number | null }) {
  const { data } = usePins(name);
  const held = data?.filter((one) => one.version === version).length ?? 0;
  if (held === 0) return null;
  const asleep = data?.filter((one) => one.version === version && one.status === "waiting").length ?? 0;
  const kind = asleep === held ? "sleeping run" : "run";
  return (
    <p className="small">
      <Mark state="waiting" /> {count(held, kind)} {held === 1 ? "keeps" : "keep"} v{version}.
    </p>
  );
}

function Change({ name, before, after }: { name: string; before: number | null; after: number | null }) {
  const client = useAgentflow();
  const key = before === null || after === null || before === after ? null : `${name} ${before} ${after}`;
  const { data, error } = useAnswer(key, () => client.prompts.diff(name, before ?? 0, after ?? 0));
  if (key === null) return after !== null && before === after ? <p className="quiet small">It holds v{after} already.</p> : null;
  if (error !== null) return <Trouble error={error} />;
  if (data === null) return <Bones rows={2} />;
  return (
    <details className="more" open>
      <summary>
        From v{before} to v{after}
      </summary>
      <Difference diff={data} />
    </details>
  );
}
