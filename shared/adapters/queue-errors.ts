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

/** The broker does not have the message: this process holds too much, or the message is at fault. */
export function refused(topic: string, why: string, retryable: boolean): KeylineError {
  return new KeylineError("queue_send_refused", `a message to ${topic} was refused: ${why}`, { retryable });
}

/** The broker does not have the message, and would take no other one either. */
export function blocked(topic: string, why: string): KeylineError {
  return new KeylineError("queue_blocked", `the broker takes no messages to ${topic}: ${why}`, {
    retryable: true,
  });
}

/** What a refusal of a send means, by the name that Pulsar or its client has for it; undefined for any other. */
export function refusalNamed(topic: string, reason: string): KeylineError | undefined {
  if (/InvalidMessage|too ?big|NotAllowed|Schema/i.test(reason)) return refused(topic, reason, false);
  if (/QueueIsFull|MemoryBufferIsFull/i.test(reason)) return refused(topic, reason, true);
  if (/Quota|Terminated|Authorization/i.test(reason)) return blocked(topic, reason);
  return undefined;
}
