/** The few requests to SQS that the adapter makes, each with a deadline, their failures as KeylineErrors. */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { KeylineError, toError } from "../../runtime/errors.ts";
import type { SqsEntry } from "./sqs-message.ts";

/** What SQS said about one entry of a batch: undefined when it took it. */
export type EntryFailure = { code: string; message: string; senderFault: boolean } | undefined;

export type SqsRequests = ReturnType<typeof createSqsRequests>;

/** SQS takes at most this many entries in one batch. */
export const maxBatchEntries = 10;

type BatchOutput = {
  Successful?: { Id: string | undefined }[] | undefined;
  Failed?:
    | {
        Id: string | undefined;
        Code: string | undefined;
        Message?: string | undefined;
        SenderFault: boolean | undefined;
      }[]
    | undefined;
};

export function createSqsRequests(client: SQSClient, queueUrl: string, requestTimeoutMs: number) {
  return {
    queueUrl,

    /** Results stand in the order of `entries`. Rejects when the whole request failed. */
    async send(entries: readonly SqsEntry[], signal: AbortSignal): Promise<EntryFailure[]> {
      const Entries = entries.map((entry, index) => ({ Id: String(index), ...entry }));
      const command = new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries });
      return failuresOf(await request(() => client.send(command, { abortSignal: signal })), entries.length);
    },

    async delete(receiptHandles: readonly string[]): Promise<EntryFailure[]> {
      const Entries = receiptHandles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
      const command = new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries });
      const abortSignal = AbortSignal.timeout(requestTimeoutMs);
      return failuresOf(await request(() => client.send(command, { abortSignal })), receiptHandles.length);
    },

    async changeVisibility(
      receiptHandles: readonly string[],
      timeoutSeconds: number,
    ): Promise<EntryFailure[]> {
      const Entries = receiptHandles.map((ReceiptHandle, index) => ({
        Id: String(index),
        ReceiptHandle,
        VisibilityTimeout: timeoutSeconds,
      }));
      const command = new ChangeMessageVisibilityBatchCommand({ QueueUrl: queueUrl, Entries });
      const abortSignal = AbortSignal.timeout(requestTimeoutMs);
      return failuresOf(await request(() => client.send(command, { abortSignal })), receiptHandles.length);
    },

    /** `attemptId` makes a repeat after a lost answer return the same messages (AWS, within 5 minutes). */
    async receive(ask: {
      maxMessages: number;
      waitSeconds: number;
      visibilityTimeoutSeconds: number;
      attemptId: string;
      signal?: AbortSignal;
    }): Promise<Message[]> {
      const command = new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: ask.maxMessages,
        WaitTimeSeconds: ask.waitSeconds,
        VisibilityTimeout: ask.visibilityTimeoutSeconds,
        ReceiveRequestAttemptId: ask.attemptId,
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["SentTimestamp", "MessageGroupId"],
      });
      const deadline = AbortSignal.timeout(ask.waitSeconds * 1000 + requestTimeoutMs);
      const abortSignal = ask.signal === undefined ? deadline : AbortSignal.any([ask.signal, deadline]);
      const output = await request(() => client.send(command, { abortSignal }));
      return output.Messages ?? [];
    },

    /** Messages in the queue, those that somebody has received included; about, as SQS says itself. */
    async count(): Promise<number> {
      const command = new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
      });
      const abortSignal = AbortSignal.timeout(requestTimeoutMs);
      const { Attributes = {} } = await request(() => client.send(command, { abortSignal }));
      return Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
    },
  };
}

function failuresOf(output: BatchOutput, length: number): EntryFailure[] {
  const missing = { code: "NoResult", message: "SQS did not mention the entry", senderFault: false };
  const failures = new Array<EntryFailure>(length).fill(missing);
  for (const { Id } of output.Successful ?? []) failures[Number(Id)] = undefined;
  for (const { Id, Code, Message, SenderFault } of output.Failed ?? []) {
    failures[Number(Id)] = { code: Code ?? "", message: Message ?? "", senderFault: SenderFault ?? false };
  }
  return failures;
}

async function request<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (thrown) {
    throw requestError(toError(thrown));
  }
}

/** Failures after which SQS cannot have the request; after any other without an answer it may have it. */
const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

function requestError(cause: Error): KeylineError {
  const { $metadata, code } = cause as { $metadata?: { httpStatusCode?: number }; code?: string };
  const status = $metadata?.httpStatusCode;
  const text = `${cause.name}: ${cause.message || code}`;
  if (status !== undefined) {
    const retryable = status >= 500 || status === 429 || /throttl|OverLimit/i.test(cause.name);
    return new KeylineError("queue_send_refused", `SQS answered ${status} (${text})`, { retryable, cause });
  }
  const details = { retryable: true, cause };
  return neverSent.has(code ?? "") || cause.name === "CredentialsProviderError"
    ? new KeylineError("queue_not_connected", `SQS cannot be reached (${text})`, details)
    : new KeylineError("queue_send_timeout", `SQS gave no answer (${text})`, details);
}

/**
 * For requests whose failure changes nothing but the time: tells `onError` and goes on.
 * @returns the entries' failures, or undefined when the request failed as a whole.
 */
export async function attempt(
  what: string,
  onError: (error: Error) => void,
  run: () => Promise<EntryFailure[]>,
): Promise<EntryFailure[] | undefined> {
  try {
    const failures = await run();
    const failure = failures.find((entry) => entry !== undefined);
    if (failure !== undefined) {
      onError(new KeylineError("queue_send_refused", `SQS ${what}: ${failure.code}: ${failure.message}`));
    }
    return failures;
  } catch (thrown) {
    onError(toError(thrown));
    return undefined;
  }
}
