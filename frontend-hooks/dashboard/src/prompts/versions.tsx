import type { PromptInfo, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { useState } from "react";
import { useAnswer } from "../live/answer.ts";
import { Age, Bones, Trouble } from "../parts/said.tsx";
import { Difference } from "./difference.tsx";
import { VersionField } from "./plan.tsx";
import { RevokeDialog } from "./revoke.tsx";
import { placeOf, policyWord } from "./words.ts";

interface VersionsProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  onEdit: (version: PromptVersion) => void;
  onRelease: (version: number) => void;
}

/** All versions, and any two of them side by side. */
export function Versions({ prompt, versions, onEdit, onRelease }: VersionsProps) {
  const [revokes, setRevokes] = useState<PromptVersion | null>(null);
  const [pair, setPair] = useState<Pair>(() => ({ before: versions[1]?.number ?? 1, after: versions[0]?.number ?? 1 }));
  return (
    <>
      {versions.length < 2 ? null : <Compared name={prompt.name} versions={versions} pair={pair} onPair={setPair} />}
      <ol className="rows section" aria-label="Versions">
        {versions.map((one) => (
          <li key={one.number} className="version-row" data-version={one.number}>
            <b className="mono">v{one.number}</b>
            <div className="version-what">
              <span className="clip">{one.note || <span className="faint">no note</span>}</span>
              <span className="small quiet">
                {one.actor} · {one.source} · <Age at={one.created_at} /> · <span className="mono">{one.hash.slice(7, 13)}</span>
              </span>
            </div>
            <Where prompt={prompt} version={one} />
            <span className="row">
              {one.number > 1 ? (
                <button
                  type="button"
                  className="button"
                  onClick={() => setPair({ before: versions.find((other) => other.number < one.number)?.number ?? 1, after: one.number })}
                >
                  Its changes
                </button>
              ) : null}
              <button type="button" className="button" onClick={() => onEdit(one)}>
                Edit from it
              </button>
              {one.revoked_at === null ? (
                <>
                  <button type="button" className="button" onClick={() => onRelease(one.number)}>
                    Release…
                  </button>
                  <button type="button" className="button" data-kind="bad" onClick={() => setRevokes(one)}>
                    Take back…
                  </button>
                </>
              ) : null}
            </span>
          </li>
        ))}
      </ol>
      {revokes === null ? null : <RevokeDialog name={prompt.name} version={revokes} versions={versions} onClose={() => setRevokes(null)} />}
    </>
  );
}

/** Where a version is live, or that it was taken back. */
function Where({ prompt, version }: { prompt: PromptInfo; version: PromptVersion }) {
  if (version.revoked_at !== null) {
    return (
      <span className="badge" data-tone="bad">
        taken back: runs {policyWord(version.revoke_policy)}
      </span>
    );
  }
  const live = prompt.bindings.filter((one) =>
    one.mode === "rollout" ? String(version.number) in one.weights : one.version === version.number,
  );
  return (
    <span className="row">
      {live.map((one) => (
        <span key={placeOf(one)} className="badge" data-tone="live">
          {placeOf(one)}
        </span>
      ))}
    </span>
  );
}

interface Pair {
  before: number;
  after: number;
}

interface ComparedProps {
  name: string;
  versions: readonly PromptVersion[];
  pair: Pair;
  onPair: (pair: Pair) => void;
}

function Compared({ name, versions, pair, onPair }: ComparedProps) {
  const client = useAgentflow();
  const { before, after } = pair;
  const { data, error } = useAnswer(`${name} ${before} ${after}`, () => client.prompts.diff(name, before, after));
  return (
    <section aria-label="Compare two versions">
      <div className="plan-row">
        <VersionField label="From" value={before} versions={versions} onChange={(number) => onPair({ ...pair, before: number })} all />
        <VersionField label="To" value={after} versions={versions} onChange={(number) => onPair({ ...pair, after: number })} all />
      </div>
      {error === null ? null : <Trouble error={error} />}
      {data === null && error === null ? <Bones rows={3} /> : null}
      {data === null ? null : <Difference diff={data} />}
    </section>
  );
}
