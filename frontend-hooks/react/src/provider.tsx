import { AgentflowClient, type ClientOptions } from "@agentflow/client";
import { createContext, type ReactNode, useContext, useState } from "react";
import { useLatest } from "./latest.ts";

const Context = createContext<AgentflowClient | null>(null);

/** A client, or how to make one. `getToken` may be a new function at each render. */
export type AgentflowProviderProps = { readonly children?: ReactNode } & (
  | { readonly client: AgentflowClient }
  | (ClientOptions & { readonly client?: undefined })
);

/**
 * Gives the hooks below it their client.
 *
 *     <AgentflowProvider baseUrl="https://agents.example.com" getToken={fetchToken}>
 */
export function AgentflowProvider(props: AgentflowProviderProps): ReactNode {
  return props.client ? (
    <Context.Provider value={props.client}>{props.children}</Context.Provider>
  ) : (
    <OwnClient key={JSON.stringify([props.baseUrl, props.token])} {...props} />
  );
}

function OwnClient({ children, ...options }: ClientOptions & { readonly children?: ReactNode }): ReactNode {
  const latest = useLatest(options);
  const [client] = useState(() => {
    const getToken =
      options.getToken && ((reason: Parameters<NonNullable<ClientOptions["getToken"]>>[0]) => latest.current.getToken?.(reason) ?? null);
    return new AgentflowClient({ ...options, ...(getToken && { getToken }) });
  });
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the provider above. */
export function useAgentflow(): AgentflowClient {
  const client = useContext(Context);
  if (client === null) throw new Error("There is no <AgentflowProvider> above this component: wrap the app in one.");
  return client;
}
