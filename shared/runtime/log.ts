import { type Logger, pino } from "pino";
import { KeylineError, toError } from "./errors.ts";

export type Log = Logger;

/** One JSON line an event on standard output. */
export function createLog(name: string, level: string): Log {
  return pino({ name, level, base: { name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}

/** What a log line says of an error beside its message: the code of an expected one, the stack of any other. */
export function errorFields(error: unknown): { code: string } | { err: unknown } {
  return error instanceof KeylineError ? { code: error.code } : { err: error };
}

const REPEATED_EVERY_MS = 1_000;

/**
 * Logs errors that come by the thousand while something is away: at most one line a second, with how many were
 * left out since the last.
 */
export function logRepeated(log: Log, level: "warn" | "error", what: string): (error: unknown) => void {
  let lastAtMs = 0;
  let leftOut = 0;
  return (error) => {
    if (Date.now() - lastAtMs < REPEATED_EVERY_MS) {
      leftOut += 1;
      return;
    }
    log[level](
      { ...errorFields(error), ...(leftOut > 0 ? { leftOut } : {}) },
      `${what}: ${toError(error).message}`,
    );
    lastAtMs = Date.now();
    leftOut = 0;
  };
}
