import type { GrantInfo } from "@agentflow/client";
import { type UseGrantsResult, useGrants } from "@agentflow/react";
import { useState } from "react";
import { matchWords, overWords, usesWords } from "../asking/grant-words.ts";
import { Rooms } from "../asking/rooms.tsx";
import { length, moment } from "../format.ts";
import { LIST_KEYS, useKeys } from "../live/keys.ts";
import { useNow } from "../live/now.ts";
import { useAct } from "../parts/act.ts";
import { Visible } from "../parts/exact.tsx";
import { ApprovalsIcon } from "../parts/icons.tsx";
import { Link } from "../parts/link.tsx";
import { Age, Bones, Dialog, Empty, Trouble } from "../parts/said.tsx";
import { paths } from "../router.ts";
import { useName } from "../session.ts";

/** Standing yeses: to which calls, where, until when, how often each was used, who gave it; and the way to take it back. */
export function GrantsPage() {
  const [every, setEvery] = useState(false);
  const now = useNow();
  const { grants, revoke, isLoading, error } = useGrants({ every, limit: 500 });
  useKeys(LIST_KEYS);
  const shown = every ? grants : grants.filter((one) => overWords(one, now) === null);
  return (
    <>
      <Rooms on="grants" />
      <header className="page-head">
        <h1>Grants</h1>
        <Which every={every} choose={setEvery} />
      </header>
      {error === null ? null : <Trouble error={error} />}
      {isLoading ? <Bones rows={3} /> : null}
      {!isLoading && error === null && shown.length === 0 ? (
        <Empty icon={<ApprovalsIcon />} title={every ? "No grant was ever given" : "Every call is asked about"}>
          <p>
            A grant lets the very same call through without asking, for a while. Give one with “Always allow…” where a call is asked about.
          </p>
        </Empty>
      ) : null}
      <ul className="rows grants" aria-label="Grants">
        {shown.map((one) => (
          <GrantRow key={one.id} grant={one} now={now} revoke={revoke} />
        ))}
      </ul>
    </>
  );
}

function Which({ every, choose }: { every: boolean; choose: (every: boolean) => void }) {
  const choices = [
    { name: "Active", value: false },
    { name: "All", value: true },
  ];
  return (
    <fieldset className="segments" aria-label="Which grants">
      {choices.map(({ name, value }) => (
        <button key={name} type="button" aria-pressed={every === value} onClick={() => choose(value)}>
          {name}
        </button>
      ))}
    </fieldset>
  );
}

interface GrantProps {
  grant: GrantInfo;
  now: number;
  revoke: UseGrantsResult["revoke"];
}

function GrantRow({ grant, now, revoke }: GrantProps) {
  const [asks, setAsks] = useState(false);
  const over = overWords(grant, now);
  return (
    <li className="grant-row" data-grant={grant.id} data-over={over !== null || undefined} data-item="" tabIndex={-1}>
      <div className="grant-what">
        <p>
          <b className="mono">
            <Visible text={grant.tool} />
          </b>{" "}
          <Where grant={grant} />
        </p>
        <Calls grant={grant} />
        <p className="small quiet">
          given by{" "}
          <b>
            <Visible text={grant.granted_by} />
          </b>{" "}
          <Age at={grant.created_at} />
          {grant.reason === null ? null : (
            <>
              {" "}
              “<Visible text={grant.reason} />”
            </>
          )}
        </p>
      </div>
      <p className="small grant-left">
        <span>{usesWords(grant)}</span>
        {over === null ? (
          <span title={moment(grant.expires_at)}>{length(Math.ceil((grant.expires_at - now) / 1_000) * 1_000)} left</span>
        ) : (
          <span>
            {over} {grant.revoked_at === null ? null : <Age at={grant.revoked_at} />}
          </span>
        )}
      </p>
      {over === null ? (
        <button type="button" className="button" onClick={() => setAsks(true)}>
          Take back…
        </button>
      ) : null}
      {asks ? <RevokeDialog grant={grant} revoke={revoke} onClose={() => setAsks(false)} /> : null}
    </li>
  );
}

function Where({ grant }: { grant: GrantInfo }) {
  switch (grant.scope) {
    case "run":
      return (
        <>
          in{" "}
          <Link to={paths.run(grant.scope_id)} className="link">
            one run
          </Link>
        </>
      );
    case "thread":
      return (
        <>
          in the conversation{" "}
          <b>
            <Visible text={grant.scope_id} />
          </b>
        </>
      );
    case "agent":
      return (
        <>
          whenever{" "}
          <b>
            <Visible text={grant.scope_id} />
          </b>{" "}
          asks
        </>
      );
    default:
      return <>whoever asks</>;
  }
}

/** For which calls it is. */
function Calls({ grant }: { grant: GrantInfo }) {
  const told = matchWords(grant.match);
  if (told !== null) {
    return (
      <p className="small">
        where <Visible text={told.join(", and ")} />
      </p>
    );
  }
  return (
    <p className="small">
      exactly as{" "}
      {grant.waitpoint === null ? (
        "it was given"
      ) : (
        <Link to={paths.approval(grant.waitpoint)} className="link">
          it was asked
        </Link>
      )}
    </p>
  );
}

function RevokeDialog({ grant, revoke, onClose }: Omit<GrantProps, "now"> & { onClose: () => void }) {
  const [name] = useName();
  const act = useAct();
  async function take() {
    if (await act.run(() => revoke(grant.id, { by: name || "dashboard" }))) onClose();
  }
  return (
    <Dialog title="Take this grant back?" onClose={onClose}>
      <div className="form">
        <p className="quiet">From now on calls of {grant.tool} are asked about again. What it has let through stays as it is.</p>
        {act.error === null ? null : <Trouble error={act.error} />}
        <div className="row">
          <button type="button" className="button" data-kind="bad" disabled={act.busy} onClick={take}>
            Take it back
          </button>
          <button type="button" className="button" onClick={onClose}>
            Keep it
          </button>
        </div>
      </div>
    </Dialog>
  );
}
