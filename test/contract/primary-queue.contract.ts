import { describeDelivery } from "./primary-queue-delivery.contract.ts";
import { describeExclusive } from "./primary-queue-exclusive.contract.ts";
import { describeSending } from "./primary-queue-sending.contract.ts";
import type { QueueUnderTest } from "./primary-queue-steps.ts";

/** What every primary queue promises; faults of the network are in `describeNetworkFaults`. */
export function describePrimaryQueue(name: string, open: () => Promise<QueueUnderTest>): void {
  describeDelivery(name, open);
  describeExclusive(name, open);
  describeSending(name, open);
}
