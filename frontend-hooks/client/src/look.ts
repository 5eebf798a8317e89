/** What a stream says up to now, without staying for more. */

import type { ConnectionOwner, Next } from "./connection.ts";
import { problemOf, type Requester } from "./request.ts";
import { SseParser } from "./sse.ts";

/** Reads the owner's stream to where it is now, and gives it the frames if `wanted` still holds then. Throws `AgentflowError`. */
export async function look(requester: Requester, owner: ConnectionOwner, signal: AbortSignal, wanted = () => true): Promise<Next> {
  const ask = owner.request();
  const response = await requester.send({ ...ask, query: { ...ask.query, live: 0 }, signal });
  if (response.status === 204) return "end";
  if (!response.ok) throw await problemOf(response);
  const frames = new SseParser().push(new Uint8Array(await response.arrayBuffer()));
  return wanted() ? owner.frames(frames) : "more";
}
