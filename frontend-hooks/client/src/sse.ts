/** Server-sent events, as the HTML standard parses them: any line ending, any split, and nothing else. */

/** One event: `id` is its own, if it has one, and `event` is empty unless it was named. */
export interface Frame {
  readonly event: string;
  readonly data: string;
  readonly id: string | null;
}

/**
 * Takes bytes as they come and gives the events that are complete.
 *
 *     const parser = new SseParser();
 *     for await (const bytes of response.body) for (const frame of parser.push(bytes)) handle(frame);
 */
export class SseParser {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #skipNewline = false;
  #data: string[] = [];
  #event = "";
  #id: string | null = null;

  /** The events that these bytes complete. */
  push(bytes: Uint8Array): Frame[] {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const frames: Frame[] = [];
    let start = 0;
    for (let at = this.#rest.length; at < text.length; at++) {
      const char = text.charCodeAt(at);
      if (char !== 10 && char !== 13) {
        this.#skipNewline = false;
        continue;
      }
      if (char === 10 && this.#skipNewline) {
        this.#skipNewline = false;
      } else {
        this.#line(text.slice(start, at), frames);
        this.#skipNewline = char === 13;
      }
      start = at + 1;
    }
    this.#rest = text.slice(start);
    return frames;
  }

  #line(line: string, frames: Frame[]): void {
    if (line === "") {
      this.#dispatch(frames);
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }

  // The standard lets an id stand for all events after it; ours stands for its own event alone, so a frame without one has none.
  #dispatch(frames: Frame[]): void {
    if (this.#data.length > 0) frames.push({ event: this.#event, data: this.#data.join("\n"), id: this.#id });
    this.#data = [];
    this.#event = "";
    this.#id = null;
  }
}
