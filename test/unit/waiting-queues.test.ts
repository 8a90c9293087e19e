import { expect, test } from "vitest";
import { waitingQueueUrls } from "../../services/audience-update/waiting-queues.ts";

const sqsQueueUrl = "https://sqs.eu-west-1.amazonaws.com/123456789012/updates.fifo";
const given = { sqsQueueUrl, sqsLedgerQueueUrl: "", sqsChangesQueueUrl: "" };

test("the URLs of the queues that wait for Pulsar are made from that of the updates queue", () => {
  expect(waitingQueueUrls(given)).toEqual({
    ledger: "https://sqs.eu-west-1.amazonaws.com/123456789012/updates-ledger.fifo",
    changes: "https://sqs.eu-west-1.amazonaws.com/123456789012/updates-changes.fifo",
  });
});

test("each can be given", () => {
  const sqsLedgerQueueUrl = "http://h/1.fifo";
  const sqsChangesQueueUrl = "http://h/2.fifo";
  expect(waitingQueueUrls({ sqsQueueUrl, sqsLedgerQueueUrl, sqsChangesQueueUrl })).toEqual({
    ledger: sqsLedgerQueueUrl,
    changes: sqsChangesQueueUrl,
  });
});

test.each([
  { setting: "SQS_LEDGER_QUEUE_URL", other: "SQS_QUEUE_URL", same: { sqsLedgerQueueUrl: sqsQueueUrl } },
  { setting: "SQS_CHANGES_QUEUE_URL", other: "SQS_QUEUE_URL", same: { sqsChangesQueueUrl: sqsQueueUrl } },
  {
    setting: "SQS_CHANGES_QUEUE_URL",
    other: "SQS_LEDGER_QUEUE_URL",
    same: { sqsChangesQueueUrl: waitingQueueUrls(given).ledger },
  },
  // Nothing can be made from it.
  { setting: "SQS_LEDGER_QUEUE_URL", other: "SQS_QUEUE_URL", same: { sqsQueueUrl: "http://h/updates" } },
])("$setting that is the queue of $other is refused, quoting it", ({ setting, other, same }) => {
  const value = Object.values(same)[0];
  expect(() => waitingQueueUrls({ ...given, ...same })).toThrow(
    expect.objectContaining({
      code: "bad_settings",
      path: setting,
      value,
      message: `${setting}="${value}" is the queue of ${other}; it must be another one`,
    }),
  );
});
