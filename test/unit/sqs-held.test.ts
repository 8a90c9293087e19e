import { expect, test } from "vitest";
import { createHeldMessages } from "../../shared/adapters/sqs/sqs-held.ts";
import type { EntryFailure, SqsRequests } from "../../shared/adapters/sqs/sqs-requests.ts";
import { until } from "../support/until.ts";

/** One held message, on an SQS that answers every change of visibility with `failure`. */
function holdOne(failure: EntryFailure) {
  const requests: Partial<SqsRequests> = {
    changeVisibility: async (handles) => handles.map(() => failure),
  };
  let freed = 0;
  const held = createHeldMessages(requests as SqsRequests, {
    onFreed: () => {
      freed += 1;
    },
    visibilityTimeoutSeconds: 1,
    maxConcurrentRequests: 1,
    onError: () => {},
  });
  return { held, message: held.add("receipt", "shop:42"), timesFreed: () => freed };
}

test("a message that SQS has given to someone else makes room, and who waits for room hears of it", async () => {
  const { held, message, timesFreed } = holdOne({
    code: "InvalidParameterValue",
    message: "the receipt handle has expired",
    senderFault: true,
  });
  expect(held.count()).toBe(1);
  await until("the message is dropped", () => held.count() === 0);
  await until("the waiting poll hears of it", () => timesFreed() > 0);
  expect(held.drop(message)).toBe(false);
  await held.close();
});

test("a message whose extension only failed for now stays held", async () => {
  const { held, timesFreed } = holdOne({ code: "ServiceUnavailable", message: "busy", senderFault: false });
  await until("it was extended a few times", () => timesFreed() > 6);
  expect(held.count()).toBe(1);
  await held.close();
});
