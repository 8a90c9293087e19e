import { readUpdate } from "../../../shared/publish/read-update.ts";
import { refusalOf } from "../../../shared/publish/update-input.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { RowResult, SendBatch, Sending } from "./send-batch.ts";

/** In the place of sending: each row is checked as the gateway does. Quotas of the tenant are not known here. */
export const checkBatch: SendBatch = async (rows) => {
  for (const { update, settle } of rows) settle(resultOf(update));
};

function resultOf(update: Sending["update"]): RowResult {
  const read = readUpdate("any", update, "");
  if ("update" in read) return refusalOf(read.update) ?? "accepted";
  const { code, path, value, message } = read.refusal;
  return new KeylineError(code, `${path}: ${message}`, { path, value });
}
