import type { RunningServer } from "../../deploy/local/server-process.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import type { ExpectedProfile } from "../../test/support/oracle.ts";
import type { RealStack } from "../../test/support/real-stack.ts";

/** A design that keeps users' profiles from the same updates: Keyline itself, or one that it is compared with. */
export type Peer = {
  name: PeerName;
  /**
   * Makes what one run needs: a queue of its own and profiles of its own.
   * @param run names them; no two runs have the same.
   */
  open(stack: RealStack, run: string): Promise<OpenPeer>;
};

export const PEER_NAMES = ["keyline", "pulsar", "groupmq", "redlock", "restate"] as const;
export type PeerName = (typeof PEER_NAMES)[number];

export type OpenPeer = {
  /** Queues updates as fast as can be, each user's in their order, while nobody takes any. */
  fill(updates: readonly Update[]): Promise<void>;
  /** Starts a consumer in a process of its own. It leaves the backlog alone until it is let go. */
  startConsumer(options?: ConsumerOptions): Promise<PeerConsumer>;
  /**
   * Publishes as this peer's documentation advises, its retries included, and resolves when it has the update
   * durably. Calls for one user are queued in the order in which they are made.
   */
  publish(update: Update): Promise<void>;
  /** Publishes an update of a user who has none yet, and resolves when a reader can see it. */
  publishVisibly(update: Update): Promise<void>;
  /** How many updates wait, or are in somebody's hands; 0 once all are acknowledged. */
  waiting(): Promise<number>;
  /** What the profiles of users say; those that do not exist are left out. */
  read(userIds: readonly string[]): Promise<Map<string, KeptProfile>>;
  /**
   * Of how many updates, as far as the traced consumers' notes tell, the result was written over by somebody who had
   * read before; undefined where the peer gives no way to see it but the profiles themselves.
   */
  overlapped?(): Promise<number>;
  /** How many consumers can take updates side by side. */
  maxConsumers: 1 | 2;
  /** What its updates wait in; frozen for the outage. */
  broker: RunningServer;
  /** Every server that works for it, by name. */
  servers: Readonly<Record<string, RunningServer>>;
  close(): Promise<void>;
};

export type ConsumerOptions = {
  /** Notes for each write what it was based on, for `overlapped`. Not in runs that are measured. */
  traced?: boolean;
};

/** Of a profile, what every peer keeps. */
export type KeptProfile = Pick<ExpectedProfile, "attributes" | "events">;

export type PeerConsumer = {
  pid: number;
  /** Lets it take updates; resolves at once. */
  letGo(): Promise<void>;
  /** Updates that it has applied so far, as of a tenth of a second ago at most. */
  applied(): Promise<number>;
  kill(signal: NodeJS.Signals): void;
  exited: Promise<number | null>;
};
