// A chat of the AI SDK, driven line by line: commands come as JSON on stdin, the chat's state goes back as JSON on stdout.
// `node client.js 5|6|7|workflow`: the `Chat` behind `useChat` of that major with its own transport, or with WorkflowChatTransport.
import { createInterface } from 'node:readline';

const kind = process.argv[2];
const major = kind === 'workflow' ? 7 : Number(kind);
const { Chat } = await import(`react${major}`);
const { DefaultChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses: answered } = await import(`ai${major}`);
const { WorkflowChatTransport } = await import('@ai-sdk/workflow/client');
console.error = () => {};

let chat;
let finishes = [];
let seen = [];

function transport({ url, agent }) {
  const api = `${url}/ai/chat`;
  if (kind === 'workflow') {
    return new WorkflowChatTransport({
      api,
      prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
        api,
        body: { id, messages, trigger, messageId, agent },
        headers: { 'content-type': 'application/json' },
      }),
    });
  }
  if (major === 7) return new DefaultChatTransport({ api, body: { agent } });
  return new DefaultChatTransport({
    api,
    body: { agent, sdk: major },
    prepareReconnectToStreamRequest: ({ id }) => ({ api: `${api}/${id}/stream?sdk=${major}` }),
  });
}

function state() {
  return { status: chat.status, error: chat.error?.message ?? null, messages: chat.messages, finishes, seen };
}

async function until(holds) {
  const limit = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > limit) return { ...state(), late: true };
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  return state();
}

const text = () => (chat.lastMessage?.parts ?? []).map((part) => part.text ?? '').join('');

const commands = {
  open({ id, messages = [], ...where }) {
    finishes = [];
    seen = [];
    chat = new Chat({
      id,
      messages,
      transport: transport(where),
      sendAutomaticallyWhen: answered,
      onData: (part) => seen.push(part),
      onError: () => {},
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) => finishes.push({ isAbort, isDisconnect, isError, finishReason }),
    });
    return state();
  },
  send({ text }) {
    chat.sendMessage({ text }).catch(() => {});
    return state();
  },
  regenerate() {
    chat.regenerate().catch(() => {});
    return state();
  },
  resume() {
    // AI SDK 5 adds a replay to what it has of the message; so its apps let go of that first, as a reload of the page does.
    if (major === 5 && chat.lastMessage?.role === 'assistant') chat.messages = chat.messages.slice(0, -1);
    chat.resumeStream().catch(() => {});
    return state();
  },
  async stop() {
    await chat.stop();
    return state();
  },
  async answer({ id, approved, reason }) {
    await chat.addToolApprovalResponse({ id, approved, reason });
    return state();
  },
  finished: ({ count }) => until(() => finishes.length >= count && ['ready', 'error'].includes(chat.status)),
  says: ({ text: wanted }) => until(() => text().includes(wanted)),
  state,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await commands[command](given))}\n`);
}
