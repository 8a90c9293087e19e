/** Several messages as one of SQS's (`shared/domain/pack.ts`). */
import { randomUUID } from "node:crypto";
import type { Message } from "@aws-sdk/client-sqs";
import { contentsOf, packText } from "../../domain/pack.ts";
import type { OutgoingMessage } from "../../ports/update-queue.ts";
import { attribute, decodeMessage, encodeMessage, type SqsEntry } from "./sqs-message.ts";

/** What a pack takes beside its messages: the outer brackets and the attributes, its random key among them. */
export const packFrameBytes = 128;

/** One alone is as it is, with its own group and identity; a pack is a group by itself. */
export function encodePack(messages: readonly OutgoingMessage[], refused: RegExp | undefined): SqsEntry {
  const [first] = messages;
  if (messages.length === 1 && first !== undefined) return encodeMessage(first, refused).entry;
  const name = randomUUID();
  const { entry } = encodeMessage({ key: name, payload: packText(messages), deduplicationId: name }, refused);
  // Builds that did not tell a pack by its text read it by this.
  entry.MessageAttributes.packed = attribute(String(messages.length));
  return entry;
}

type Content = { key: string; payload: string; publishTimeMs: number };

/** What a received message holds: itself, or the messages of a pack. */
export function receivedContentsOf(message: Message): Content[] {
  const { publishTimeMs, ...whole } = decodeMessage(message);
  return contentsOf(whole).map((content) => ({ ...content, publishTimeMs }));
}
