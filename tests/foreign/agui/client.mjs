// Drives the unmodified client of AG-UI: commands come in as lines of JSON, what the client sees goes out as lines of JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const { AbstractAgent, HttpAgent } = require("@ag-ui/client");
const { from } = require("rxjs");

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let complaints = [];
console.warn = (...said) => complaints.push(said.map(String).join(" "));
console.error = () => {};
// Where a line is cut the client lets go of its reader, and nobody hears that this failed, too.
process.on("unhandledRejection", () => {});

/** Gives back events that somebody wrote down, through all that a client does with events. */
class Replay extends AbstractAgent {
  constructor(config, events) {
    super(config);
    this.events = events;
  }
  run() {
    return from(this.events);
  }
}

const agents = new Map();

function agent({ name, url, threadId, messages, headers }) {
  if (!agents.has(name)) {
    const cuts = new Set();
    const cutting = (address, init) => {
      const cut = new AbortController();
      cuts.add(cut);
      return fetch(address, { ...init, signal: AbortSignal.any([init.signal, cut.signal]) });
    };
    const made = new HttpAgent({ url, threadId, headers, initialMessages: messages ?? [], fetch: cutting });
    agents.set(name, { made, cuts });
  }
  return agents.get(name);
}

async function run(command) {
  const { made, cuts } = agent(command);
  for (const message of command.say ?? []) made.addMessage(message);
  let seen = 0;
  const watching = {
    onEvent: ({ event }) => {
      tell({ turn: command.turn, event });
      seen += 1;
      if (seen === command.cutAfter) for (const cut of cuts) cut.abort(new Error("the line is cut"));
    },
  };
  const asked = { runId: command.runId, ...(command.resume ? { resume: command.resume } : {}) };
  return finished(command, made, made.runAgent(asked, watching));
}

async function replay(command) {
  const made = new Replay({ threadId: "t", initialMessages: command.messages ?? [] }, command.events);
  return finished(command, made, made.runAgent({ runId: "r" }));
}

async function finished({ turn }, made, running) {
  complaints = [];
  const end = { turn, done: true };
  try {
    end.result = (await running).result;
  } catch (error) {
    end.failed = String(error.message ?? error);
  }
  tell({ ...end, messages: made.messages, state: made.state, interrupts: made.pendingInterrupts, complaints });
}

const verbs = { run, replay };
createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  void verbs[command.verb](command);
});
