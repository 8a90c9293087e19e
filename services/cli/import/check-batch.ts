import { envelopeOf } from "../../../shared/publish/update-input.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { RowResult, SendBatch, Sending } from "./send-batch.ts";

/** In the place of sending: each row is checked as a publisher does. Quotas of the tenant are not known here. */
export const checkBatch: SendBatch = async (rows) => {
  for (const { update, settle } of rows) settle(resultOf(update));
};

function resultOf({ at, ...update }: Sending["update"]): RowResult {
  try {
    // A time as text is of an update that stands in the file as it is; the gateway reads it.
    const moment = typeof at === "number" ? { at } : {};
    envelopeOf({ tenant: "any", ...update, ...moment }, 0);
    return "accepted";
  } catch (error) {
    if (error instanceof KeylineError) return error;
    throw error;
  }
}
