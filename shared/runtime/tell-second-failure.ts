import { KeylineError } from "./errors.ts";

/**
 * For what is tried all the time, and at first before its connection is open: of failures that may pass one alone is
 * not told, only what follows it in a row. Any other error is told at once.
 * @returns awaits an attempt; never rejects
 */
export function tellSecondFailure(
  onError: (error: unknown) => void,
): (attempt: Promise<unknown>) => Promise<void> {
  let failures = 0;
  return async (attempt) => {
    try {
      await attempt;
      failures = 0;
    } catch (error) {
      failures += 1;
      const mayPass = error instanceof KeylineError && error.retryable;
      if (failures > 1 || !mayPass) onError(error);
    }
  };
}
