import type { Generation } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { useId, useState } from "react";
import { distance } from "../format.ts";
import { useNow } from "../live/now.ts";
import { useGenerations } from "../live/prompts.ts";
import { useAct } from "../parts/act.ts";
import { Trouble } from "../parts/said.tsx";

interface TakingProps {
  name: string;
  onTake: (variables: Readonly<Record<string, unknown>>) => void;
}

/** The variables of a call that was really made. */
export function Taking({ name, onTake }: TakingProps) {
  const client = useAgentflow();
  const { data } = useGenerations(name);
  const now = useNow();
  const act = useAct();
  const [gone, setGone] = useState(false);
  const id = useId();
  if (data === undefined || data.length === 0) return null;
  async function take(call: string) {
    setGone(false);
    await act.run(async () => {
      const { variables } = await client.prompts.generation(name, call);
      if (variables === null) setGone(true);
      else onTake(variables);
    });
  }
  return (
    <div className="field">
      <label htmlFor={id}>Take those of a call</label>
      <select id={id} className="input" value="" disabled={act.busy} onChange={(event) => void take(event.target.value)}>
        <option value="">Choose…</option>
        {data.map((one) => (
          <option key={one.id} value={one.id}>
            {callWords(one, now)}
          </option>
        ))}
      </select>
      {gone ? <p className="hint">Its variables are not here: its run is deleted, or not for you to read.</p> : null}
      {act.error === null ? null : <Trouble error={act.error} />}
    </div>
  );
}

/** "v3, 2 min ago, failed". */
function callWords({ version, at, ended, step }: Generation, now: number): string {
  const told = [version === null ? "not registered" : `v${version}`, distance(at, now), step];
  return [...told, ...(ended === "answered" ? [] : [ended])].join(", ");
}
