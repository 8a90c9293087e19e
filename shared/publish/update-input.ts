import { ENVELOPE_VERSION, type Operation, type Priority, type Update } from "../domain/envelope.ts";
import { type Refusal, refuse } from "../domain/refusal.ts";
import { refuseEnvelope, refuseNonJson } from "../domain/validate.ts";
import { KeylineError } from "../runtime/errors.ts";

/** What a caller says about an update; the publisher adds the rest. */
export type UpdateInput = {
  tenant: string;
  userId: string;
  /** What happened, as one or more operations that count together. */
  ops: Operation[];
  /** The caller's idempotency key: the same id counts once, through whichever publisher it is retried. */
  id?: string;
  /** When it happened: a Date or milliseconds since the epoch; now, if absent. */
  at?: Date | number;
  priority?: Priority;
  /** W3C traceparent. */
  trace?: string;
};

/**
 * The envelope of an update, but for its identity, which has placeholders of the right form.
 * @throws KeylineError `invalid_update`, with the path and the value that are wrong
 */
export function envelopeOf(input: UpdateInput, nowMs: number): Update {
  assertAccepted(refuseInput(input));
  const update = envelopeOfChecked(input, nowMs);
  assertAccepted(refuseNonJson(update.ops, "ops", 1) ?? refuseEnvelope(update));
  return update;
}

/** Why a publisher would not take it; undefined for what it takes. */
export function refusalOf(input: UpdateInput): KeylineError | undefined {
  try {
    envelopeOf(input, 0);
    return undefined;
  } catch (error) {
    if (error instanceof KeylineError) return error;
    throw error;
  }
}

/** As `envelopeOf`, of an input that it is known to take. */
export function envelopeOfChecked(input: UpdateInput, nowMs: number): Update {
  const { tenant, userId, ops, id, at, priority, trace } = input;
  return {
    v: ENVELOPE_VERSION,
    tenant,
    userId,
    ...(id === undefined ? {} : { id }),
    src: "-",
    seq: 1,
    stamp: 0,
    at: at instanceof Date ? at.getTime() : (at ?? nowMs),
    ...(priority === undefined ? {} : { priority }),
    ops,
    ...(trace === undefined ? {} : { trace }),
  };
}

/** @throws KeylineError `invalid_update` */
export function assertEnvelope(update: Update): void {
  assertAccepted(refuseEnvelope(update));
}

const INPUT_NAMES = new Set(["tenant", "userId", "ops", "id", "at", "priority", "trace"]);

/** What types forbid and JavaScript lets pass: a misspelt `id` must not cost its caller the idempotency. */
function refuseInput(input: UpdateInput): Refusal | undefined {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    return refuse("invalid_update", "", input, "must be an object with tenant, userId and ops");
  const { at } = input;
  if (at !== undefined && typeof at !== "number" && !(at instanceof Date))
    return refuse("invalid_update", "at", at, "must be a Date or milliseconds since the epoch");
  const unknown = Object.keys(input).find((name) => !INPUT_NAMES.has(name));
  if (unknown === undefined) return undefined;
  const message = "is not known here; id, at, priority and trace are";
  return refuse("invalid_update", unknown, input[unknown as keyof UpdateInput], message);
}

function assertAccepted(refusal: Refusal | undefined): void {
  if (!refusal) return;
  const { code, path, value, message } = refusal;
  throw new KeylineError(code, `${path || "update"}: ${message}, not ${value}`, { path, value });
}
