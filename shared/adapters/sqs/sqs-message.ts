/**
 * An update as an SQS message: the payload is the body, the key travels as the message attribute `key`.
 * SQS refuses most control characters, U+FFFE, U+FFFF, lone surrogates and empty texts. A text that holds one is
 * written as an escaped JSON string instead, and the attribute `payloadAs` or `keyAs` says so.
 */
import { hash } from "node:crypto";
import type { Message, MessageAttributeValue } from "@aws-sdk/client-sqs";
import type { OutgoingMessage } from "../../ports/update-queue.ts";

export type SqsEntry = {
  MessageBody: string;
  MessageGroupId: string;
  MessageDeduplicationId: string;
  MessageAttributes: Record<string, MessageAttributeValue>;
};

/** The characters that SQS takes in no text, as its reference of SendMessage lists them. */
const refusedBySqs = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/**
 * A publisher's payload holds no refused character (see publisher.ts), so it is the body as it is: with
 * `MAX_UPDATE_BYTES` at its greatest and the longest key, all of whose characters are escaped, the size is less
 * than 204,000 of the 262,144 bytes that every SQS takes.
 *
 * @param refused the characters that the server takes in no text.
 * @returns the entry, and its size in bytes as SQS counts it: the body and every attribute's name, type and value.
 */
export function encodeMessage(
  message: OutgoingMessage,
  refused: RegExp = refusedBySqs,
): { entry: SqsEntry; sizeBytes: number } {
  const attributes: Record<string, MessageAttributeValue> = {};
  const body = accepted(message.payload, refused);
  attributes.key = attribute(accepted(message.key, refused));
  if (body !== message.payload) attributes.payloadAs = attribute("json");
  if (attributes.key.StringValue !== message.key) attributes.keyAs = attribute("json");
  let sizeBytes = Buffer.byteLength(body);
  for (const name in attributes) {
    sizeBytes += name.length + "String".length + Buffer.byteLength(attributes[name]?.StringValue ?? "");
  }
  return {
    entry: {
      MessageBody: body,
      // Hashes, because SQS allows 128 characters of a few kinds. Only the order depends on the group.
      MessageGroupId: hash("sha256", message.key, "base64url"),
      MessageDeduplicationId: hash("sha256", message.deduplicationId, "hex"),
      MessageAttributes: attributes,
    },
    sizeBytes,
  };
}

/** The key and payload of a received message; a message that someone else put there has its group as key. */
export function decodeMessage(message: Message): { key: string; payload: string; publishTimeMs: number } {
  const { key, keyAs, payloadAs } = message.MessageAttributes ?? {};
  const body = message.Body ?? "";
  const keyText = key?.StringValue ?? message.Attributes?.MessageGroupId ?? "";
  return {
    key: keyAs === undefined ? keyText : fromJson(keyText),
    payload: payloadAs === undefined ? body : fromJson(body),
    publishTimeMs: Number(message.Attributes?.SentTimestamp ?? 0),
  };
}

function accepted(text: string, refused: RegExp): string {
  if (text.length > 0 && !refused.test(text)) return text;
  // Control characters are escaped by JSON itself.
  return JSON.stringify(text).replace(
    new RegExp(refused, `${refused.flags}g`),
    (character) => `\\u${character.charCodeAt(0).toString(16)}`,
  );
}

function fromJson(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

export function attribute(value: string): MessageAttributeValue {
  return { DataType: "String", StringValue: value };
}
