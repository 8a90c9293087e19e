import type { State } from "./aggregate.ts";
import type { CompiledAttribute, CompiledAudience, CompiledDefinitions } from "./compile.ts";
import type { Scope } from "./scope.ts";
import { DAY_MS, leavesAtMs } from "./window.ts";

/** The next moment at which time alone changes a value or a membership; infinite for never. */
export function nextDueMs(
  { attributes, audiences, byNow }: CompiledDefinitions,
  scope: Scope,
  states: readonly (State | undefined)[],
  asOfMs: number,
): number {
  let dueMs = Number.POSITIVE_INFINITY;
  for (let place = 0; place < states.length; place += 1) {
    const state = states[place];
    if (state !== undefined) dueMs = Math.min(dueMs, attributeDueMs(attributes[place]!, state, asOfMs));
  }
  for (const place of byNow) dueMs = Math.min(dueMs, flipMs(audiences[place]!, scope, asOfMs));
  return dueMs;
}

/** When time alone changes an attribute's value; infinite for never. */
export function attributeDueMs({ event }: CompiledAttribute, state: State, asOfMs: number): number {
  if (!event) return Number.POSITIVE_INFINITY;
  const { aggregate, window } = event;
  if (window) return leavesAtMs(window, aggregate.oldest(state, window));
  if (aggregate.windowed) return Number.POSITIVE_INFINITY;
  const days = aggregate.value(state, asOfMs) as number;
  return (state[0] as number) + (days + 1) * DAY_MS;
}

/** When one of a rule's comparisons of `now` flips; infinite for never, also where it can't be computed. */
export function flipMs(
  { rule, nowComparisons }: CompiledAudience,
  scope: Pick<Scope, "contextOf">,
  asOfMs: number,
): number {
  let dueMs = Number.POSITIVE_INFINITY;
  for (const { flipsAtMs } of nowComparisons) {
    try {
      const moment = flipsAtMs(scope.contextOf(rule));
      if (moment > asOfMs) dueMs = Math.min(dueMs, moment);
    } catch {
      // What can't be computed does not flip.
    }
  }
  return dueMs;
}
