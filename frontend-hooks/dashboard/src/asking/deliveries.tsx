import type { DeliveryInfo, Waitpoint } from "@agentflow/client";
import { useAgentflow } from "@agentflow/react";
import { refresh } from "../live/polled.ts";
import { useDeliveries } from "../live/server.ts";
import { Section } from "../pages/run.tsx";
import { useAct } from "../parts/act.ts";
import { Visible } from "../parts/exact.tsx";
import { Age, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";
import { addressee, deliveryWords, eventWord } from "./words.ts";

/** Who was told of a question, by which channel, and whether it arrived; a reminder may be sent to them while it is open. */
export function Deliveries({ approval }: { approval: Waitpoint }) {
  const { data } = useDeliveries(approval.id);
  // What went to many is shown for each of them.
  const told = (data ?? []).filter((one) => one.state !== "spread");
  if (told.length === 0) return null;
  return (
    <Section name="Who was told">
      <ul className="votes" aria-label="Who was told">
        {told.map((one) => (
          <Delivery key={one.id} one={one} />
        ))}
      </ul>
      {approval.state === "pending" ? <Reminder id={approval.id} /> : null}
    </Section>
  );
}

function Delivery({ one }: { one: DeliveryInfo }) {
  return (
    <li data-delivery={one.state} data-void={one.state === "dropped" || undefined}>
      <b>
        <Visible text={addressee(one)} />
      </b>{" "}
      {eventWord(one.event)} · <span className={one.state === "dead" ? "bad" : "quiet"}>{deliveryWords(one)}</span>{" "}
      <Age at={one.ended_at ?? one.created_at} />
      {one.error === null ? null : (
        <span className="quiet">
          {" "}
          “<Visible text={one.error} />”
        </span>
      )}
    </li>
  );
}

function Reminder({ id }: { id: string }) {
  const { waitpoints } = useAgentflow();
  const [name] = useName();
  const act = useAct();
  const remind = () => act.run(() => waitpoints.remind(id, { by: name || "dashboard" })).then(() => refresh(`deliveries:${id}`));
  return (
    <>
      <p className="told-again">
        <button type="button" className="button" disabled={act.busy} onClick={remind}>
          Remind them
        </button>
      </p>
      {act.error === null ? null : <Trouble error={act.error} />}
    </>
  );
}
