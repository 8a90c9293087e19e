/** What the primary queue's broker says about the subscription on the updates, all partitions together. */
export type SubscriptionStats = {
  /** Messages that are not acknowledged, delivered or not. */
  backlog: number;
  /** When the oldest of them was published, milliseconds since the epoch; undefined without any. */
  oldestPublishMs: number | undefined;
  /** Messages delivered, repeats too; the count may start anew when the broker does. */
  delivered: number;
  consumers: readonly {
    name: string;
    /** Messages that it may be sent now. */
    permits: number;
    /** Messages that it was sent and has not acknowledged. */
    unacknowledged: number;
  }[];
};

/** Asks the broker. Rejects with a KeylineError when no answer comes or the answer is none. */
export type ReadSubscription = () => Promise<SubscriptionStats>;
