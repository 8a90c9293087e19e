import { type Logger, pino } from "pino";

export type Log = Logger;

/** One JSON line an event on standard output. */
export function createLog(name: string, level: string): Log {
  return pino({ name, level, base: { name, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}
