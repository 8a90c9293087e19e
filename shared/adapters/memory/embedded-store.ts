/** What all stores in this process's memory share: they are full at some point, and of no use once closed. */
import { KeylineError } from "../../runtime/errors.ts";

/** @param what what it holds too many of, with their number: "1000 profiles". */
export function storeFull(what: string): KeylineError {
  return new KeylineError("store_unavailable", `the embedded store is full: ${what}`, { retryable: true });
}

export function storeClosed(): KeylineError {
  return new KeylineError("store_unavailable", "the embedded store is closed");
}
