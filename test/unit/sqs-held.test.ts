import { expect, test } from "vitest";
import { createHeldMessages } from "../../shared/adapters/sqs/sqs-held.ts";
import type { EntryFailure, SqsRequests } from "../../shared/adapters/sqs/sqs-requests.ts";
import { until } from "../support/until.ts";

/** Requests that answer every change of visibility with `failure`. */
function requestsThat(failure: EntryFailure): SqsRequests {
  const requests: Partial<SqsRequests> = {
    changeVisibility: async (handles) => handles.map(() => failure),
  };
  return requests as SqsRequests;
}

test("a message that SQS has given to someone else makes room, and who waits for room hears of it", async () => {
  let freed = 0;
  const gone = {
    code: "InvalidParameterValue",
    message: "the receipt handle has expired",
    senderFault: true,
  };
  const held = createHeldMessages(requestsThat(gone), {
    onFreed: () => {
      freed += 1;
    },
    visibilityTimeoutSeconds: 1,
    maxConcurrentRequests: 1,
    onError: () => {},
  });
  const message = held.add("receipt", "shop:42");
  expect(held.count()).toBe(1);
  await until("the message is dropped", () => held.count() === 0);
  await until("the waiting poll hears of it", () => freed > 0);
  expect(held.drop(message)).toBe(false);
  await held.close();
});

test("a message whose extension only failed for now stays held", async () => {
  const busy = { code: "ServiceUnavailable", message: "busy", senderFault: false };
  let rounds = 0;
  const held = createHeldMessages(requestsThat(busy), {
    onFreed: () => {
      rounds += 1;
    },
    visibilityTimeoutSeconds: 1,
    maxConcurrentRequests: 1,
    onError: () => {},
  });
  held.add("receipt", "shop:42");
  await until("it was extended a few times", () => rounds > 6);
  expect(held.count()).toBe(1);
  await held.close();
});
