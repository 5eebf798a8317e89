import { useId } from "react";
import { ApprovalCard } from "../asking/card.tsx";
import { useInboxItems } from "../asking/inbox.ts";
import { Rooms } from "../asking/rooms.tsx";
import { Together } from "../asking/together.tsx";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { ApprovalsIcon } from "../parts/icons.tsx";
import { Bones, Empty, Trouble } from "../parts/said.tsx";
import { useGroups, useMine, useName } from "../session.ts";

export function ApprovalsPage() {
  const { items, open, settled, isLoading, error, onAnswered, clear } = useInboxItems();
  useKeys(LIST_KEYS);
  return (
    <>
      <Rooms on="inbox" />
      <header className="page-head">
        <h1>Approvals</h1>
        <Whose />
        <span className="spring" />
        <Who />
      </header>
      {error !== null && items.length === 0 ? <Trouble error={error} /> : null}
      {isLoading ? <Bones rows={4} /> : null}
      {!isLoading && error === null && open === 0 ? (
        <div className={settled > 0 ? "inbox" : undefined}>
          <Empty icon={<ApprovalsIcon />} title="Nobody waits for you">
            <p>When a run asks for a yes or no, or for a form, the question appears here. Runs wait for it for days, at no cost.</p>
          </Empty>
        </div>
      ) : null}
      <Together items={items} onAnswered={onAnswered} />
      <ul className="inbox" aria-label="Approvals">
        {items.map((one) => (
          <li key={one.id}>
            <ApprovalCard approval={one} isItem onAnswered={onAnswered} />
          </li>
        ))}
      </ul>
      {settled === 0 ? null : (
        <button type="button" className="link small" onClick={clear}>
          Put away what is decided
        </button>
      )}
    </>
  );
}

/** Whose approvals are shown. */
function Whose() {
  const [mine, keep] = useMine();
  const choices = [
    { name: "All", value: false },
    { name: "Mine", value: true },
  ];
  return (
    <fieldset className="segments" aria-label="Whose">
      {choices.map(({ name, value }) => (
        <button key={name} type="button" aria-pressed={mine === value} onClick={() => keep(value)}>
          {name}
        </button>
      ))}
    </fieldset>
  );
}

/** Who answers here: what they say is kept with their answers, and shows them what is theirs. */
function Who() {
  const [name, keepName] = useName();
  const [groups, keepGroups] = useGroups();
  return (
    <div className="name-box">
      <Line label="Answer as" value={name} keep={keepName} placeholder="dashboard" complete="name" />
      <Line label="in groups" value={groups} keep={keepGroups} placeholder="none" complete="off" />
    </div>
  );
}

interface LineProps {
  label: string;
  value: string;
  keep: (value: string) => void;
  placeholder: string;
  complete: string;
}

function Line({ label, value, keep, placeholder, complete }: LineProps) {
  const id = useId();
  return (
    <div className="name-line">
      <label htmlFor={id} className="quiet">
        {label}
      </label>
      <input
        id={id}
        className="input"
        placeholder={placeholder}
        autoComplete={complete}
        defaultValue={value}
        onBlur={(event) => keep(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
      />
    </div>
  );
}
