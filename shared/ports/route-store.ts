/**
 * The port to what the processes of a fleet share about the route: votes, the fleet's route, the operator's
 * override and the audit log. Every change of route or override adds its audit line in the same atomic step.
 */
import type { Path } from "./update-queue.ts";

export type Vote = {
  /** Who votes: one incarnation of one process. */
  voter: string;
  /** Where this process would send. */
  route: Path;
  /** Why, in plain words. */
  reason: string;
  /**
   * Only from a process that sees the subscription: `bad` while its breaker is open because of it. The others
   * see the canaries alone, which say nothing of it.
   */
  subscription?: SubscriptionVerdict;
};

export type SubscriptionVerdict = "good" | "bad";

export type Override = {
  route: Path;
  reason: string;
  /** Who set it. */
  name: string;
  setAtMs: number;
  expiresAtMs: number;
};

export type FleetState = {
  route: Path;
  /** When the fleet's route last changed. */
  sinceMs: number;
  override: Override | undefined;
  /** Votes that have not expired. */
  votes: (Vote & { expiresAtMs: number })[];
};

/** One line of the audit log. */
export type AuditLine = {
  atMs: number;
  /** `fleet` the votes moved the route, `override` an operator set one, `clear` an operator ended it, `expire` it ended by itself. */
  action: "fleet" | "override" | "clear" | "expire";
  route: Path | "auto";
  /** Who: the operator's name, or `fleet`. */
  name: string;
  reason: string;
  expiresAtMs?: number;
};

export type RouteStore = {
  /**
   * Casts this process's vote for `ttlMs`, counts, moves the fleet's route when the count says so, ends an
   * override whose time has come, and returns the result; one round trip. Rejects with `store_unavailable`.
   *
   * The count: more than half of the live votes for `sqs` move the fleet to sqs, and so do more than half of
   * those that see the subscription when they say it is bad. Back to pulsar when neither holds and the fleet opened at most once in the 60 s before (so that it opens at most twice in
   * any 60 s). When no vote was live before this one, the route rests for its `ttlMs`, so that the others can be
   * heard.
   */
  vote(vote: Vote, ttlMs: number): Promise<FleetState>;
  /** Withdraws a vote at shutdown. Best effort, never rejects. */
  withdraw(voter: string): Promise<void>;
  /** Sets the operator's override. Rejects with `store_unavailable`; then nothing has changed. */
  override(override: { route: Path; reason: string; name: string; expiresInMs: number }): Promise<FleetState>;
  /** Ends the override, if there is one (the audit line is written either way). */
  clearOverride(by: { reason: string; name: string }): Promise<FleetState>;
  read(): Promise<FleetState>;
  /** The newest `limit` lines, newest first. */
  audit(limit: number): Promise<AuditLine[]>;
  close(): Promise<void>;
};
