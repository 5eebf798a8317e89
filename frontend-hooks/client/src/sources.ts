/** Who gets a connection of its own and who shares one. */

import type { Connector } from "./connector.ts";
import { DirectFeed } from "./direct-feed.ts";
import type { Feed, RunSink } from "./feed.ts";
import { JointFeed } from "./joint-feed.ts";

/** How many runs are followed over connections of their own; a page has six, and needs some for requests and lists. */
const DIRECT = 2;

/** Opens the streams of runs so that a page never runs out of connections. */
export class Sources {
  readonly #connector: Connector;
  readonly #direct = new Set<DirectFeed>();
  readonly #joint: JointFeed[] = [];
  readonly #refused = new WeakMap<RunSink, Feed>();

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** Follow a run into a sink. Only a stream of its own can begin elsewhere than at the start, or be read with a token of its own. */
  follow(sink: RunSink): Feed {
    for (const feed of this.#direct) if (!feed.open) this.#direct.delete(feed);
    const alone = sink.from !== "start" || this.#connector.requester.isGranted(sink.runId);
    return alone || this.#direct.size < DIRECT ? this.#own(sink) : this.#shared(sink);
  }

  #own(sink: RunSink): Feed {
    const feed = new DirectFeed(this.#connector, sink);
    this.#direct.add(feed);
    return feed;
  }

  #shared(sink: RunSink): Feed {
    this.#refused.delete(sink);
    const joint = this.#joint.find((one) => one.roomy) ?? this.#begin();
    const feed = joint.join(sink);
    const now = () => this.#refused.get(sink) ?? feed;
    return { stop: () => now().stop(), retry: (force) => now().retry(force) };
  }

  #begin(): JointFeed {
    // A run that does not exist spoils the request for all: each is asked for by itself then, and told its own fate.
    const joint = new JointFeed(this.#connector, (sinks) => {
      for (const sink of sinks) this.#refused.set(sink, this.#own(sink));
    });
    this.#joint.push(joint);
    return joint;
  }
}
