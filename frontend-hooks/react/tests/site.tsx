/** A page around a component under test: a scripted server and the provider. */

import { AgentflowClient } from "@agentflow/client";
import { AgentflowProvider } from "@agentflow/react";
import { type ReactNode, StrictMode } from "react";
import { afterEach, beforeEach } from "vitest";
import { cleanup } from "../../testing/render.tsx";
import { ScriptedServer } from "../../testing/scripted.ts";

/** What a test has at hand; made anew for each. */
export interface Site {
  server: ScriptedServer;
  client: AgentflowClient;
}

/** A server and a client for each test of the file. */
export function openSite(): Site {
  const site = {} as Site;
  beforeEach(async () => {
    site.server = await ScriptedServer.start();
    site.client = new AgentflowClient({ baseUrl: site.server.url });
  });
  afterEach(async () => {
    cleanup();
    site.client.detach();
    await site.server[Symbol.asyncDispose]();
  });
  return site;
}

/** The provider, as an app has it. */
export function Page({ site, children }: { readonly site: Site; readonly children: ReactNode }): ReactNode {
  return (
    <StrictMode>
      <AgentflowProvider client={site.client}>{children}</AgentflowProvider>
    </StrictMode>
  );
}
