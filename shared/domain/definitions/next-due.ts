import type { State } from "./aggregate.ts";
import type { CompiledAttribute, CompiledAudience, CompiledDefinitions } from "./compile.ts";
import { failed } from "./costs.ts";
import type { Scope } from "./scope.ts";
import { DAY_MS, leavesAtMs } from "./window.ts";

/**
 * The next moment at which time alone may change a membership, by the values of some attributes or by `now` in the
 * rules of some audiences; infinite for never.
 */
export function nextDueMs(
  { attributes, audiences }: CompiledDefinitions,
  attributePlaces: readonly number[],
  audiencePlaces: readonly number[],
  { scope, states }: { scope: Scope; states: readonly (State | undefined)[] },
  asOfMs: number,
): number {
  let dueMs = Number.POSITIVE_INFINITY;
  for (const place of attributePlaces) {
    const state = states[place];
    const attribute = attributes[place]!;
    if (state === undefined || !attribute.ticks.wanted) continue;
    try {
      dueMs = Math.min(dueMs, attributeDueMs(attribute, state, asOfMs));
    } catch (error) {
      failed(attribute.cost, error);
    }
  }
  for (const place of audiencePlaces) dueMs = Math.min(dueMs, flipMs(audiences[place]!, scope, asOfMs));
  return dueMs;
}

/** When time alone changes an attribute's value so that it may matter to who reads it; infinite for never. */
export function attributeDueMs({ event, ticks }: CompiledAttribute, state: State, asOfMs: number): number {
  if (!event) return Number.POSITIVE_INFINITY;
  const { aggregate, window } = event;
  const { thresholds } = ticks;
  if (window) {
    const bucket = thresholds && aggregate.crossing?.(state, thresholds);
    return leavesAtMs(window, bucket ?? aggregate.oldest(state, window));
  }
  if (aggregate.windowed) return Number.POSITIVE_INFINITY;
  const days = aggregate.value(state, asOfMs) as number;
  const next = thresholds ? thresholds.find((each) => each > days) : days + 1;
  return next === undefined ? Number.POSITIVE_INFINITY : (state[0] as number) + next * DAY_MS;
}

/** When time alone changes an attribute's value: of `days_since` as above, of a window when its first bucket leaves. */
export function changesAtMs(attribute: CompiledAttribute, state: State, asOfMs: number): number {
  const { event } = attribute;
  if (!event?.window) return attributeDueMs(attribute, state, asOfMs);
  return leavesAtMs(event.window, event.aggregate.oldest(state, event.window));
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
