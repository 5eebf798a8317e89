// Follows streams with the real client. A line of JSON on stdin begins one: {id, url, live, offset, token}. What it reads is told on
// stdout, line by line: {id, items, offset}, {id, open} when server-sent events begin, {id, cut} when it has to come back, {id, closed} at
// the end, {id, failed} when it gives up.
import { createInterface } from "node:readline"
import { FetchError, stream } from "@durable-streams/client"

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const backoffOptions = { initialDelay: 20, maxDelay: 200, multiplier: 1.3 }

async function once(wanted, place) {
  const response = await stream({
    url: wanted.url,
    live: wanted.live,
    offset: place.offset,
    headers: wanted.token ? { authorization: `Bearer ${wanted.token}` } : {},
    json: true,
    warnOnHttp: false,
    backoffOptions,
    fetch: async (url, options) => {
      const answer = await fetch(url, options)
      if (answer.headers.get("content-type") === "text/event-stream") say({ id: wanted.id, open: true })
      return answer
    },
  })
  await new Promise((done, broken) => {
    // It resolves when all has come, which may be before the last of it is told: only its failure counts.
    response.closed.catch(broken)
    response.subscribeJson((batch) => {
      place.offset = batch.offset
      place.closed = batch.streamClosed
      if (batch.items.length > 0) say({ id: wanted.id, items: batch.items, offset: batch.offset })
      if (batch.streamClosed || (!wanted.live && batch.upToDate)) done()
    })
  })
}

async function follow(wanted) {
  const place = { offset: wanted.offset ?? "-1", closed: false }
  while (!place.closed) {
    try {
      await once(wanted, place)
      if (!wanted.live && !place.closed) await new Promise((next) => setTimeout(next, 20))
    } catch (error) {
      if (error instanceof FetchError && error.status >= 400 && error.status < 500) {
        say({ id: wanted.id, failed: error.status })
        return
      }
      say({ id: wanted.id, cut: String(error) })
    }
  }
  say({ id: wanted.id, closed: true })
}

for await (const line of createInterface({ input: process.stdin })) follow(JSON.parse(line))
