// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** What became of a message: it waits to be sent, was taken by its channel, became one for each of many people, was not worth telling any more, or could not be sent however often it was tried. */
export type DeliveryState = "pending" | "sent" | "spread" | "dropped" | "dead";
