/**
 * Loaded into a process by `--import`: its wall clock is off by the milliseconds that the file named by
 * CHAOS_CLOCK_FILE holds. Monotonic time and timers go on as they are, as where an administrator or NTP steps the clock.
 */
import { readFileSync } from "node:fs";

const file = process.env.CHAOS_CLOCK_FILE!;
const RealDate = Date;
const realNow = Date.now;
let offsetMs = 0;

const read = () => {
  offsetMs = Number(readFileSync(file, "utf8"));
};
read();
setInterval(read, 100).unref();

RealDate.now = () => realNow() + offsetMs;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, newTarget) =>
    Reflect.construct(target, given.length === 0 ? [RealDate.now()] : given, newTarget),
});
