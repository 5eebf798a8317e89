import { AgentflowClient } from "@agentflow/client";
import { AgentflowProvider } from "@agentflow/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { mount } from "./router.ts";
import { keyring } from "./session.ts";
import "./styles/tokens.css";
import "./styles/ground.css";
import "./styles/frame.css";
import "./styles/controls.css";
import "./styles/parts.css";
import "./styles/runs.css";
import "./styles/run.css";
import "./styles/asking.css";
import "./styles/waterfall.css";
import "./styles/story.css";
import "./styles/values.css";
import "./styles/rooms.css";
import "./styles/pages.css";
import "./styles/prompts.css";
import "./styles/editor.css";

const client = new AgentflowClient({ baseUrl: location.origin + mount(), getToken: keyring.token });

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <AgentflowProvider client={client}>
        <App />
      </AgentflowProvider>
    </StrictMode>,
  );
}
