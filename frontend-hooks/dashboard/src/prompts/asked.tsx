import type { PromptPolicy, PromptRequest } from "@agentflow/client";
import { usePolicy, useRequests } from "../live/prompts.ts";
import { Link } from "../parts/link.tsx";
import { Age } from "../parts/said.tsx";
import { Mark } from "../parts/status.tsx";
import { paths } from "../router.ts";
import { placeOf, targetWord } from "./words.ts";

/** Releases that wait for others to agree. */
export function Requests({ name }: { name: string }) {
  const { data } = useRequests(name);
  if (data === undefined || data.length === 0) return null;
  return (
    <ul className="requests" aria-label="Releases that were asked for">
      {data.map((one) => (
        <Request key={one.id} request={one} />
      ))}
    </ul>
  );
}

function Request({ request }: { request: PromptRequest }) {
  const policy = usePolicy(request.prompt, request.env).data ?? null;
  return (
    <li className="note">
      <Mark state="waiting" /> <b>{request.actor}</b> asks to have {targetWord(request.target)} hold in {placeOf(request)}
      {" · "}
      <Waits request={request} policy={policy} />
      {" · "}
      <span className="quiet">
        <Age at={request.requested_at} />
      </span>
      {request.reason === "" ? null : <p className="quiet">{request.reason}</p>}
    </li>
  );
}

function Waits({ request, policy }: { request: PromptRequest; policy: PromptPolicy | null }) {
  if (request.waitpoint !== null) {
    return (
      <Link to={paths.approval(request.waitpoint)} className="link">
        waits for {peopleWord(policy)}
      </Link>
    );
  }
  return (
    <Link to={paths.run(request.run)} className="link">
      {policy?.gate == null ? "under way" : `${policy.gate} evaluates it`}
    </Link>
  );
}

/** How many others have to agree. */
export function peopleWord(policy: Pick<PromptPolicy, "people"> | null): string {
  if (policy === null) return "others";
  return policy.people === 1 ? "another person" : `${policy.people} people`;
}

/** What has to be before something is moved there. */
export function Rule({ name, env }: { name: string; env: string }) {
  const policy = usePolicy(name, env).data ?? null;
  if (!asks(policy)) return null;
  const who = [...policy.users, ...policy.groups.map((one) => `group ${one}`)].join(", ");
  return (
    <p className="note">
      {policy.gate === null ? "" : `First ${policy.gate} evaluates the version. `}
      {policy.people === 0 ? "" : `${policy.people === 1 ? "Another person has" : `${policy.people} people have`} to agree`}
      {policy.people > 0 && who !== "" ? ` (${who})` : ""}
      {policy.people === 0 ? "" : ": it is asked for, and moved when they do."}
    </p>
  );
}

/** Whether anything has to be. */
export function asks(policy: PromptPolicy | null): policy is PromptPolicy {
  return policy !== null && (policy.people > 0 || policy.gate !== null);
}
