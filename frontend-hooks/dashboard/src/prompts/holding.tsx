import type { PromptBinding, PromptInfo, PromptRollout, PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, useState } from "react";
import { useNow } from "../live/now.ts";
import { refreshPrompt, usePromptEvents } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { Age, Dialog, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { Requests } from "./asked.tsx";
import { Chip } from "./chips.tsx";
import { Line } from "./plan.tsx";
import { isConflict, Moved, ReleaseDialog, type Wish } from "./release.tsx";
import { inOrder, placeOf, rolloutWords, wasBefore } from "./words.ts";

interface HoldingProps {
  prompt: PromptInfo;
  versions: readonly PromptVersion[];
  wish: Wish | null;
  onWish: (wish: Wish | null) => void;
}

/** What holds where, and what can be done about it. */
export function Holding({ prompt, versions, wish, onWish }: HoldingProps) {
  const [undoes, setUndoes] = useState<PromptBinding | null>(null);
  const newest = versions.find((one) => one.revoked_at === null)?.number ?? 1;
  return (
    <section className="section holding" aria-label="What is live">
      <ul className="rows">
        {inOrder(prompt).map((one) => (
          <li key={`${one.env}/${one.label}`} className="holding-row" data-binding={placeOf(one)}>
            <span>
              <Chip binding={one} />
              {one.rollout === null ? null : <RolloutLine rollout={one.rollout} />}
            </span>
            <span className="small quiet">
              {one.protected ? "protected · " : ""}
              <Age at={one.updated_at} />
            </span>
            <span className="row">
              <button type="button" className="button" onClick={() => onWish({ at: one, mode: "pinned", version: newest })}>
                Release…
              </button>
              {one.mode === "code" ? null : (
                <button type="button" className="button" onClick={() => onWish({ at: one, mode: "code", version: newest })}>
                  Follow the code…
                </button>
              )}
              <button type="button" className="button" onClick={() => setUndoes(one)}>
                Roll back…
              </button>
              <Protect name={prompt.name} binding={one} />
            </span>
          </li>
        ))}
        {prompt.bindings.length === 0 ? (
          <li className="holding-row">
            <span className="quiet">Nothing is live yet.</span>
            <span />
            <button
              type="button"
              className="button"
              onClick={() => onWish({ at: { env: "", label: "live" }, mode: "pinned", version: newest })}
            >
              Release…
            </button>
          </li>
        ) : null}
      </ul>
      <Requests name={prompt.name} />
      {wish === null ? null : <ReleaseDialog prompt={prompt} versions={versions} wish={wish} onClose={() => onWish(null)} />}
      {undoes === null ? null : <RollbackDialog prompt={prompt} binding={undoes} onClose={() => setUndoes(null)} />}
    </section>
  );
}

function RolloutLine({ rollout }: { rollout: PromptRollout }) {
  const words = rolloutWords(rollout, useNow());
  return words.length === 0 ? null : <span className="small quiet holding-rollout">{words.join(" · ")}</span>;
}

function Protect({ name, binding }: { name: string; binding: PromptBinding }) {
  const client = useAgentflow();
  const [by] = useName();
  const act = useAct();
  async function turn() {
    await act.run(() => client.prompts.protect(name, binding, { protected: !binding.protected, by: by || "dashboard" }));
    refreshPrompt(name);
  }
  return (
    <>
      <button type="button" className="button" disabled={act.busy} onClick={turn}>
        {binding.protected ? "Unprotect" : "Protect"}
      </button>
      {act.error === null ? null : <Trouble error={act.error} />}
    </>
  );
}

interface RollbackProps {
  prompt: PromptInfo;
  binding: PromptBinding;
  onClose: () => void;
}

function RollbackDialog({ prompt, binding, onClose }: RollbackProps) {
  const client = useAgentflow();
  const [by] = useName();
  const [seen, see] = useState(binding);
  const [reason, setReason] = useState("");
  const act = useAct();
  const { data } = usePromptEvents(prompt.name);
  const now = prompt.bindings.find((one) => one.env === seen.env && one.label === seen.label) ?? seen;
  const isStale = now.rev !== seen.rev || isConflict(act.error);
  const before = data === undefined ? null : wasBefore(data, seen);
  async function undo(event: FormEvent) {
    event.preventDefault();
    const worked = await act.run(() => client.prompts.rollback(prompt.name, seen, { reason: reason.trim(), by: by || "dashboard" }));
    refreshPrompt(prompt.name);
    if (worked) onClose();
  }
  return (
    <Dialog title={`Roll back in ${placeOf(seen)}?`} onClose={onClose}>
      <form className="form" onSubmit={undo}>
        <p>
          Now <Chip binding={seen} />
        </p>
        <p>{before === null ? "There is nothing to go back to." : `It goes back to what held before the last move: ${before}.`}</p>
        <Line label="Reason" value={reason} onChange={setReason} />
        {isStale ? (
          <Moved
            now={now}
            onLook={() => {
              act.clear();
              see(now);
            }}
          />
        ) : null}
        {act.error === null || isConflict(act.error) ? null : <Trouble error={act.error} />}
        <div className="row">
          <button
            type="submit"
            className="button"
            data-kind="main"
            disabled={act.busy || isStale || reason.trim() === "" || before === null}
          >
            Roll back
          </button>
          <button type="button" className="button" onClick={onClose}>
            Back
          </button>
        </div>
      </form>
    </Dialog>
  );
}
