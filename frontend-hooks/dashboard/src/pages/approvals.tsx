import { useApprovals } from "@agentflow/react";
import { useId } from "react";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { ApprovalCard } from "../parts/approval.tsx";
import { ApprovalsIcon } from "../parts/icons.tsx";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { useName } from "../session.ts";

export function ApprovalsPage() {
  const { pending, isLoading, error, reload } = useApprovals();
  useKeys(LIST_KEYS);
  return (
    <>
      <header className="page-head">
        <h1>Approvals</h1>
        <span className="spring" />
        <NameBox />
      </header>
      {error !== null && pending.length === 0 ? <Trouble error={error} /> : null}
      {isLoading ? <Bones rows={4} /> : null}
      {!isLoading && error === null && pending.length === 0 ? (
        <Empty icon={<ApprovalsIcon />} title="Nobody waits for you">
          <p>When a run asks for a yes or no, the question appears here. Runs wait for it for days, at no cost.</p>
        </Empty>
      ) : null}
      <ul className="inbox" aria-label="Open approvals">
        {pending.map((one) => (
          <li key={one.id}>
            <ApprovalCard approval={one} isItem onAnswered={reload} />
          </li>
        ))}
      </ul>
    </>
  );
}

function NameBox() {
  const id = useId();
  const [name, keep] = useName();
  return (
    <div className="name-box">
      <label htmlFor={id} className="quiet">
        Answer as
      </label>
      <input
        id={id}
        className="input"
        placeholder="dashboard"
        autoComplete="name"
        defaultValue={name}
        onBlur={(event) => keep(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
      />
    </div>
  );
}
