import type { BreakerOptions, BreakerState } from "./breaker.ts";
import type { Signal } from "./signal.ts";

/**
 * Failed calls within the window as a signal, by what opossum counted. Pure.
 * @param options of the breaker that counted.
 */
export function judgeSendFailures(
  { calls, failures }: Pick<BreakerState, "calls" | "failures">,
  { windowMs, errorPercent, minCalls }: Pick<BreakerOptions, "windowMs" | "errorPercent" | "minCalls">,
): Signal {
  const value = calls === 0 ? null : Math.round((failures / calls) * 1000) / 10;
  const enough = calls >= minCalls;
  return {
    name: "send_failures",
    value,
    unit: "%",
    limit: errorPercent,
    verdict: enough ? (failures / calls > errorPercent / 100 ? "bad" : "good") : "unknown",
    why: `${failures} of ${calls} calls failed in ${windowMs} ms${enough ? "" : `, fewer than ${minCalls} calls`}`,
  };
}
