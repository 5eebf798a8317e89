import type { PromptVersion } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { type FormEvent, useState } from "react";
import { refreshPrompt } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { Dialog, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { Keep } from "./consequences.tsx";
import { Line, VersionField } from "./plan.tsx";

interface RevokeProps {
  name: string;
  version: PromptVersion;
  versions: readonly PromptVersion[];
  onClose: () => void;
}

type Policy = "repin" | "pause" | "fail";

const POLICIES: readonly { value: Policy; name: string }[] = [
  { value: "repin", name: "go on with another version" },
  { value: "pause", name: "pause, until somebody looks" },
  { value: "fail", name: "fail" },
];

/** A version that is bad for good is taken back: nobody can release it any more, and runs that hold it do as the policy says. */
export function RevokeDialog({ name, version, versions, onClose }: RevokeProps) {
  const client = useAgentflow();
  const [by] = useName();
  const others = versions.filter((one) => one.number !== version.number && one.revoked_at === null);
  const [policy, setPolicy] = useState<Policy>(others.length > 0 ? "repin" : "pause");
  const [other, setOther] = useState(others[0]?.number ?? 0);
  const [reason, setReason] = useState("");
  const act = useAct();
  async function revoke(event: FormEvent) {
    event.preventDefault();
    const said = { policy: policy === "repin" ? `repin:${other}` : policy, reason: reason.trim(), by: by || "dashboard" };
    const worked = await act.run(() => client.prompts.revoke(name, version.number, said));
    refreshPrompt(name);
    if (worked) onClose();
  }
  return (
    <Dialog title={`Take v${version.number} back?`} onClose={onClose}>
      <form className="form" onSubmit={revoke}>
        <p className="quiet">It cannot be released any more, and that stays so.</p>
        <Keep name={name} version={version.number} />
        <fieldset className="field">
          <legend>Runs that hold it, when they go on</legend>
          {POLICIES.filter((one) => one.value !== "repin" || others.length > 0).map((one) => (
            <label key={one.value} className="check">
              <input type="radio" name="policy" checked={policy === one.value} onChange={() => setPolicy(one.value)} /> {one.name}
            </label>
          ))}
        </fieldset>
        {policy === "repin" ? <VersionField label="The other version" value={other} versions={others} onChange={setOther} /> : null}
        <Line label="Reason" value={reason} onChange={setReason} />
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="submit" className="button" data-kind="bad" disabled={act.busy || reason.trim() === ""}>
            Take it back
          </button>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </form>
    </Dialog>
  );
}
