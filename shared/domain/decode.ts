import { ENVELOPE_VERSION, type Priority, type RawMessage, type Update, userKey } from "./envelope.ts";
import { isReservedSource, type LedgerPlace, ledgerIdentity } from "./ledger-source.ts";
import { packProblem } from "./pack-problem.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { stampAt } from "./stamp.ts";
import { MAX_DEPTH, refuseEnvelope, refuseRawMessage } from "./validate.ts";

/** What the broker knows about a message, to fill in what a minimal message lacks. */
export type Provenance = {
  key: string;
  sizeBytes: number;
  publishTimeMs: number;
  position?: LedgerPlace | undefined;
};

export type DecodeLimits = {
  maxUpdateBytes: number;
  /** How far ahead of this process's clock a stamp may be, in milliseconds. */
  maxClockSkewMs: number;
};

export type Decoded = { update: Update } | { refusal: Refusal };

/**
 * Reads one payload: an envelope of ours, or a minimal message from any program. Never throws.
 * @param priority the topic's
 */
export function decode(
  payload: string,
  provenance: Provenance,
  limits: DecodeLimits,
  nowMs: number,
  priority: Priority = "live",
): Decoded {
  // However long it is: of what is in it nothing can be told.
  const problem = packProblem(payload);
  if (problem !== undefined) return { refusal: refuse("not_json", "", payload, problem) };
  const { sizeBytes } = provenance;
  if (sizeBytes > limits.maxUpdateBytes)
    return { refusal: refuse("too_large", "", sizeBytes, `longer than ${limits.maxUpdateBytes} bytes`) };
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch (error) {
    return { refusal: refuse("not_json", "", payload, (error as Error).message) };
  }
  if (openingBrackets(payload) > MAX_DEPTH && deeperThan(value, MAX_DEPTH))
    return { refusal: refuse("invalid_update", "", payload, `nested deeper than ${MAX_DEPTH} levels`) };
  const decoded = isRaw(value) ? decodeRaw(value, provenance, priority) : decodeEnvelope(value);
  if ("update" in decoded && decoded.update.stamp > stampAt(nowMs + limits.maxClockSkewMs)) {
    const message = `more than ${limits.maxClockSkewMs} ms ahead of the clock here`;
    return { refusal: refuse("stamp_in_future", "stamp", decoded.update.stamp, message) };
  }
  return decoded;
}

function decodeEnvelope(value: unknown): Decoded {
  const version = (value as { v?: unknown } | null)?.v;
  if (version !== undefined && version !== ENVELOPE_VERSION)
    return {
      refusal: refuse("unknown_version", "v", version, `this build knows version ${ENVELOPE_VERSION}`),
    };
  const refusal = refuseEnvelope(value);
  if (refusal) return { refusal };
  const update = value as Update;
  if (!isReservedSource(update.src)) return { update };
  return { refusal: refuse("invalid_update", "src", update.src, "is kept for places in the ledger") };
}

/** At least as many as there are levels, and far cheaper to find out. */
function openingBrackets(json: string): number {
  return count(json, "{") + count(json, "[");
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found += 1;
  return found;
}

function deeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  for (const key in value) if (deeperThan((value as Record<string, unknown>)[key], levels - 1)) return true;
  return false;
}

function isRaw(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !Object.hasOwn(value, "v");
}

function decodeRaw(value: Record<string, unknown>, provenance: Provenance, priority: Priority): Decoded {
  const refusal = refuseRawMessage(value);
  if (refusal) return { refusal };
  const { tenantId, userId } = value as RawMessage;
  const { key, position } = provenance;
  const form = key === userKey(tenantId, userId) ? "user" : key === userId ? "userId" : "other";
  const identity = position && ledgerIdentity(position, form, priority);
  if (!identity) {
    const message = "a minimal message takes its identity from the Pulsar topic; elsewhere send an envelope";
    return { refusal: refuse("invalid_update", "src", undefined, message) };
  }
  const raw = value as RawMessage;
  const at = typeof raw.at === "string" ? Date.parse(raw.at) : raw.at;
  const update: Update = {
    v: ENVELOPE_VERSION,
    tenant: raw.tenantId,
    userId: raw.userId,
    ...identity,
    stamp: stampAt(provenance.publishTimeMs),
    at: at ?? provenance.publishTimeMs,
    ops: [...(raw.ops ?? []), ...(raw.event ? [{ kind: "event" as const, body: raw.event }] : [])],
  };
  if (raw.id !== undefined) update.id = raw.id;
  if (raw.trace !== undefined) update.trace = raw.trace;
  return { update };
}
