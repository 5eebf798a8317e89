// Written by tools/typescript.py from the Python definitions: change those, then run `make types`.

/** A message for an input stream of a run: a JSON value. The header Idempotency-Key makes it the same message when it is sent again. */
export interface SendMessage {
  data: unknown;
}

/** The number of the message in its stream, from 1. */
export interface SentMessage {
  seq: number;
}
