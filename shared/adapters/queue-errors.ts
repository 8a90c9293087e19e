import { KeylineError } from "../runtime/errors.ts";

/** Nothing was sent: there is no connection. */
export function notConnected(topic: string, cause?: Error): KeylineError {
  const why = cause === undefined ? "" : `: ${cause.message}`;
  return new KeylineError("queue_not_connected", `no connection to the broker of ${topic}${why}`, {
    retryable: true,
    cause,
  });
}

/** It is not known whether the broker has the message. */
export function unanswered(topic: string, why: string): KeylineError {
  return new KeylineError("queue_send_timeout", `no answer for a message to ${topic}: ${why}`, {
    retryable: true,
  });
}

/** The broker does not have the message. */
export function refused(topic: string, why: string, retryable: boolean): KeylineError {
  return new KeylineError("queue_send_refused", `a message to ${topic} was refused: ${why}`, { retryable });
}
