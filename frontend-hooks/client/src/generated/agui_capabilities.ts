// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** AG-UI's AgentCapabilities. */
export interface AgentCapabilities {
  identity: Readonly<Record<string, unknown>>;
  transport: Readonly<Record<string, boolean>>;
}
