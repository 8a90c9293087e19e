import { type Logger, pino } from "pino";
import { KeylineError } from "./errors.ts";

export type Log = Logger;

/** One JSON line an event on standard output. */
export function createLog(name: string, level: string): Log {
  return pino({ name, level, base: { name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}

/** What a log line says of an error beside its message: the code of an expected one, the stack of any other. */
export function errorFields(error: unknown): { code: string } | { err: unknown } {
  return error instanceof KeylineError ? { code: error.code } : { err: error };
}
