// Follows runs with the real client. A line of JSON on stdin begins one: {id, url, version}. What it reads is told on stdout, line by
// line: {id, open} when it is connected, {id, items}, {id, cut} when it has to come back, {id, closed} at the end.
import { createInterface } from "node:readline"

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

async function follow({ id, url, version }) {
  const { EventSource } = await import(`eventsource${version}`)
  const source = new EventSource(url)
  source.onopen = () => say({ id, open: true })
  source.onerror = (event) => say({ id, cut: String(event.message ?? event.code ?? "lost") })
  source.onmessage = ({ data, lastEventId }) => {
    const event = JSON.parse(data)
    say({ id, items: [{ id: lastEventId, event }] })
    if (event.type === "end") {
      source.close()
      say({ id, closed: true })
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) follow(JSON.parse(line))
