import type { Topic } from "../ports/primary-queue.ts";

/** The topics of one installation. */
export type Topics = {
  /** Every live update; kept for good. With `bulk` it is the ledger. */
  updates: Topic;
  /** Every bulk update: what can wait for the live ones; kept for good. */
  bulk: Topic;
  /** Who entered and left which audience, keyed as the updates are; kept for good. */
  changes: Topic;
  /** What can never apply, with its reason. */
  deadLetter: Topic;
  /** Canaries of the health sample, partitioned; nothing is kept. */
  canary: Topic;
};

/** The durable subscription on the dead-letter topic: what it has not acknowledged is outstanding. */
export const DEAD_LETTER_SUBSCRIPTION = "dead-letters";

export function topicsOf(namespace: string): Topics {
  return {
    updates: `persistent://${namespace}/updates`,
    bulk: `persistent://${namespace}/updates-bulk`,
    changes: `persistent://${namespace}/changes`,
    deadLetter: `persistent://${namespace}/dead-letter`,
    canary: `persistent://${healthNamespaceOf(namespace)}/canaries`,
  };
}

/** Canaries live in a namespace of their own, because retention is set by namespace. */
export function healthNamespaceOf(namespace: string): string {
  return `${namespace}-health`;
}
