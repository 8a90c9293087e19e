/** What is known of a user whose turns may fail. */
export type Failing = {
  /** Failed turns in a row. */
  failures: number;
  /** Those of them in a row between which turns of others succeeded: an outage of the store is nobody's own. */
  ownFailures: number;
  /** By `performance.now`. */
  failedAtMs: number;
};

/**
 * Tells a user whose turns fail alone from a store that is away. Where nobody else has had a turn since, what the turn
 * before told still holds: he may hold all that there is, so that no other comes in.
 */
export function createFailureWatch() {
  /** When a turn last came to its end, whoever's. */
  let proceededAtMs = Number.NEGATIVE_INFINITY;
  /** Who failed last, and when somebody else did before. */
  let last: Failing | undefined;
  let othersAtMs = Number.NEGATIVE_INFINITY;

  function ownFailuresOf(mailbox: Failing): number {
    const { failures, ownFailures, failedAtMs } = mailbox;
    if (failures === 0) return 0;
    if (proceededAtMs > failedAtMs) return ownFailures + 1;
    const otherFailedAtMs = last === mailbox ? othersAtMs : (last?.failedAtMs ?? othersAtMs);
    return otherFailedAtMs >= failedAtMs || ownFailures === 0 ? 0 : ownFailures + 1;
  }

  return {
    proceeded() {
      proceededAtMs = performance.now();
    },
    /** @param isTelling false where the store gave no answer: a slow one gives none to some, whoever they are */
    failed(mailbox: Failing, isTelling: boolean): void {
      if (isTelling || mailbox.failures === 0) mailbox.ownFailures = ownFailuresOf(mailbox);
      if (last && last !== mailbox) othersAtMs = last.failedAtMs;
      last = mailbox;
      mailbox.failedAtMs = performance.now();
      mailbox.failures += 1;
    },
  };
}
