/**
 * Several messages as one of SQS's: the first line of its body is JSON, of each message the key and the length of its
 * payload in UTF-16 code units, and the payloads follow as they are. The attribute `packed` says so.
 */
import { randomUUID } from "node:crypto";
import type { Message } from "@aws-sdk/client-sqs";
import type { OutgoingMessage } from "../../ports/update-queue.ts";
import { attribute, decodeMessage, encodeMessage, type SqsEntry } from "./sqs-message.ts";

/** Bytes that a message takes in a pack, about. */
export function packedSizeBytes({ key, payload }: OutgoingMessage): number {
  return Buffer.byteLength(key) + Buffer.byteLength(payload) + headerEntryBytes;
}

/** Brackets, quotes, commas, and the digits of a length. */
const headerEntryBytes = 12;

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

/** What a received message holds: itself, or the messages of a pack. What says that it is one and is none is itself. */
export function contentsOf(message: Message): Content[] {
  const decoded = decodeMessage(message);
  if (message.MessageAttributes?.packed === undefined) return [decoded];
  const { payload, publishTimeMs } = decoded;
  const headerLength = payload.indexOf("\n");
  const header = readHeader(payload.slice(0, headerLength));
  if (header === undefined) return [decoded];
  let start = headerLength + 1;
  return header.map(([key, length]) => {
    start += length;
    return { key, payload: payload.slice(start - length, start), publishTimeMs };
  });
}

type Header = [key: string, length: number][];

function readHeader(text: string): Header | undefined {
  try {
    const header: unknown = JSON.parse(text);
    return isHeader(header) && header.length > 0 ? header : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(header: unknown): header is Header {
  const isEntry = (entry: unknown) =>
    Array.isArray(entry) && typeof entry[0] === "string" && Number.isSafeInteger(entry[1]);
  return Array.isArray(header) && header.every(isEntry);
}
