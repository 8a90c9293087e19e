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

test("of several updates queues each has its own", () => {
  expect(waitingQueueUrls({ ...given, sqsQueueUrl: "http://h/a.fifo,http://h/b.fifo" })).toEqual({
    ledger: "http://h/a-ledger.fifo,http://h/b-ledger.fifo",
    changes: "http://h/a-changes.fifo,http://h/b-changes.fifo",
  });
});

test("a queue that is in two of several lists is refused, quoting it and the list", () => {
  const queues = { ...given, sqsQueueUrl: "http://h/a.fifo,http://h/b.fifo" };
  const ledger = "http://h/x.fifo,http://h/b.fifo";
  expect(() => waitingQueueUrls({ ...queues, sqsLedgerQueueUrl: ledger })).toThrow(
    expect.objectContaining({
      code: "bad_settings",
      path: "SQS_LEDGER_QUEUE_URL",
      value: "http://h/b.fifo",
      message: `SQS_LEDGER_QUEUE_URL="${ledger}" holds "http://h/b.fifo", a queue of SQS_QUEUE_URL; it must be another one`,
    }),
  );
});

test("a queue of another list is refused however its URL is written", () => {
  const urls = { ...given, sqsQueueUrl: "http://h/a.fifo", sqsChangesQueueUrl: "http://H:80/a.fifo" };
  expect(() => waitingQueueUrls(urls)).toThrow(expect.objectContaining({ value: "http://H:80/a.fifo" }));
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
