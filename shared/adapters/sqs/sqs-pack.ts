/**
 * Several messages as one of SQS's: the first line of its body is JSON, of each message the key and the length of its
 * payload in UTF-16 code units, and the payloads follow as they are. The attribute `packed` says so.
 */
import { randomUUID } from "node:crypto";
import type { Message } from "@aws-sdk/client-sqs";
import type { OutgoingMessage } from "../../ports/update-queue.ts";
import { attribute, decodeMessage, encodeMessage, type SqsEntry } from "./sqs-message.ts";

/** Bytes that a message takes in a pack, at most, where nothing has to be escaped for SQS. */
export function packedSizeBytes({ key, payload }: OutgoingMessage): number {
  return Buffer.byteLength(JSON.stringify(key)) + Buffer.byteLength(payload) + headerEntryBytes;
}

/** Brackets, commas, and the digits of a length. */
const headerEntryBytes = 10;

/** The same of the pack itself: the outer brackets and the attributes, its random key among them. */
export const packFrameBytes = 128;

/** One alone is as it is, with its own group and identity; a pack is a group by itself. */
export function encodePack(messages: readonly OutgoingMessage[], refused: RegExp | undefined): SqsEntry {
  const [first] = messages;
  if (messages.length === 1 && first !== undefined) return encodeMessage(first, refused).entry;
  const header = JSON.stringify(messages.map(({ key, payload }) => [key, payload.length]));
  const payload = `${header}\n${messages.map((message) => message.payload).join("")}`;
  const name = randomUUID();
  const { entry } = encodeMessage({ key: name, payload, deduplicationId: name }, refused);
  entry.MessageAttributes.packed = attribute(String(messages.length));
  return entry;
}

type Content = { key: string; payload: string; publishTimeMs: number };

/** What a received message holds: itself, or the messages of a pack. What only says that it is a pack is itself. */
export function contentsOf(message: Message): Content[] {
  const decoded = decodeMessage(message);
  if (message.MessageAttributes?.packed === undefined) return [decoded];
  const { payload, publishTimeMs } = decoded;
  const header = headerOf(payload);
  if (!header) return [decoded];
  let start = payload.indexOf("\n") + 1;
  return header.map(([key, length]) => {
    start += length;
    return { key, payload: payload.slice(start - length, start), publishTimeMs };
  });
}

type Header = [key: string, length: number][];

/** Undefined where the payload is no pack: anyone may write to a queue, and nothing may stop its polls. */
function headerOf(payload: string): Header | undefined {
  const end = payload.indexOf("\n");
  try {
    const header: unknown = JSON.parse(payload.slice(0, end));
    return isHeader(header) && lengthOf(header) === payload.length - end - 1 ? header : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(value: unknown): value is Header {
  const isEntry = (entry: unknown) =>
    Array.isArray(entry) && typeof entry[0] === "string" && Number.isInteger(entry[1]) && entry[1] >= 0;
  return Array.isArray(value) && value.length > 0 && value.every(isEntry);
}

function lengthOf(header: Header): number {
  return header.reduce((sum, [, length]) => sum + length, 0);
}
