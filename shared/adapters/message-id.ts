import type { LedgerPosition } from "../ports/update-queue.ts";
import { KeylineError } from "../runtime/errors.ts";

// Fields of MessageIdData in Pulsar's PulsarApi.proto.
const LEDGER_ID = 1;
const ENTRY_ID = 2;
const PARTITION = 3;
const BATCH_INDEX = 4;

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

/** A negative int32 or int64 is sign-extended to 64 bits, which takes ten bytes; no other number here does. */
const NEGATIVE_VARINT_BYTES = 10;

// The cursor is shared by the functions of this file, so that reading an id allocates nothing but its result.
let cursor = 0;

/**
 * Reads a serialised Pulsar message id (protobuf MessageIdData). A topic without partitions counts as
 * partition 0, and a message outside a batch as batch index 0.
 *
 * @throws KeylineError `message_id_malformed`
 */
export function parseMessageId(bytes: Uint8Array): LedgerPosition {
  let ledgerId = -1;
  let entryId = -1;
  let partition = 0;
  let batchIndex = 0;
  cursor = 0;
  while (cursor < bytes.length) {
    const tag = readVarint(bytes);
    const field = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (wireType !== VARINT) {
      skip(bytes, wireType);
      continue;
    }
    const value = readVarint(bytes);
    if (field === LEDGER_ID) ledgerId = value;
    else if (field === ENTRY_ID) entryId = value;
    else if (field === PARTITION) partition = Math.max(0, value);
    else if (field === BATCH_INDEX) batchIndex = Math.max(0, value);
  }
  if (cursor !== bytes.length || ledgerId < 0 || entryId < 0) throw malformed(bytes);
  return { partition, ledgerId, entryId, batchIndex };
}

function readVarint(bytes: Uint8Array): number {
  const start = cursor;
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = bytes[cursor++];
    if (byte === undefined || cursor - start > NEGATIVE_VARINT_BYTES) throw malformed(bytes);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    scale *= 0x80;
  }
  return cursor - start < NEGATIVE_VARINT_BYTES ? value : readNegative(bytes, start);
}

function readNegative(bytes: Uint8Array, start: number): number {
  let bits = 0n;
  for (let index = 0; index < NEGATIVE_VARINT_BYTES; index++) {
    bits |= BigInt(bytes[start + index]! & 0x7f) << BigInt(7 * index);
  }
  return Number(BigInt.asIntN(64, bits));
}

function skip(bytes: Uint8Array, wireType: number): void {
  if (wireType === LENGTH_DELIMITED) {
    const length = readVarint(bytes);
    cursor += length;
  } else if (wireType === FIXED_64) cursor += 8;
  else if (wireType === FIXED_32) cursor += 4;
  else throw malformed(bytes);
}

function malformed(bytes: Uint8Array): KeylineError {
  const hex = Buffer.from(bytes).toString("hex");
  return new KeylineError("message_id_malformed", `not a Pulsar message id: ${hex}`, { value: hex });
}
