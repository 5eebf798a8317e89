// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

export type * from "./agui_capabilities.ts";
export type * from "./agui_input.ts";
export type * from "./ai_sdk_requests.ts";
export type * from "./audits.ts";
export type * from "./callbacks.ts";
export type * from "./events.ts";
export type * from "./generation_models.ts";
export type * from "./grants.ts";
export type * from "./inputs.ts";
export type * from "./models.ts";
export type * from "./parts.ts";
export type * from "./prompt_models.ts";
export type * from "./registry_models.ts";
export type * from "./release_models.ts";
export type * from "./requests.ts";
export type * from "./states.ts";
export type * from "./threads.ts";
export type * from "./token_models.ts";
export type * from "./waitpoints.ts";
