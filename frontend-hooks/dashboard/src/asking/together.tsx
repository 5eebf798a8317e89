import type { DecidedMany, Waitpoint } from "@agentflow/client";
import { questionOf, useAgentflow } from "@agentflow/react";
import { useState } from "react";
import { refresh } from "../live/polled.ts";
import { useAct } from "../parts/act.ts";
import { Visible } from "../parts/exact.tsx";
import { Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { type Turn, turnsOf } from "./turns.ts";
import { togetherWords } from "./words.ts";

interface TogetherProps {
  items: readonly Waitpoint[];
  onAnswered: (one: Waitpoint) => void;
}

/** Turns whose calls, all of little risk, can be approved at one press. */
export function Together({ items, onAnswered }: TogetherProps) {
  return turnsOf(items).map((turn) => <OneTurn key={turn.key} turn={turn} onAnswered={onAnswered} />);
}

function OneTurn({ turn, onAnswered }: { turn: Turn; onAnswered: (one: Waitpoint) => void }) {
  const { waitpoints } = useAgentflow();
  const [name] = useName();
  const [told, tell] = useState("");
  const act = useAct();
  async function approve() {
    const decisions = turn.calls.map((one) => {
      const { digest } = questionOf(one);
      return { id: one.id, approved: true, ...(digest === null ? {} : { seen_digest: digest }) };
    });
    const done: DecidedMany = await waitpoints.decideMany(decisions, { mode: "each", by: name || "dashboard" });
    tell(togetherWords(done.results));
    for (const { waitpoint } of done.results) if (waitpoint !== null) onAnswered(waitpoint);
    refresh("inbox");
  }
  return (
    <section className="together" aria-label={`Calls of ${turn.agent}`}>
      <p>
        <b>
          <Visible text={turn.agent} />
        </b>{" "}
        waits for {turn.calls.length} calls at once, none of high risk.
      </p>
      <button type="button" className="button" disabled={act.busy} onClick={() => act.run(approve)}>
        Approve all {turn.calls.length}
      </button>
      {told === "" ? null : (
        <p className="fact" role="status">
          {told}
        </p>
      )}
      {act.error === null ? null : <Trouble error={act.error} />}
    </section>
  );
}
