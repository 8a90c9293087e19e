import type { Calculated } from "./calculated.ts";
import type { Workspace } from "./calculation-workspace.ts";
import type { State } from "./definitions/aggregate.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { failed } from "./definitions/costs.ts";

/** The plain fields that changed, by name: JSON, or undefined where there is no value any more. */
export type FieldChanges = Map<string, string | undefined>;

/** The attributes that have another value now; what reads them becomes dirty on the way. */
export function changedFields(
  workspace: Workspace,
  definitions: CompiledDefinitions,
  base: Calculated,
): FieldChanges {
  const adopts = base.version !== definitions.version;
  const fields: FieldChanges = new Map();
  const places = workspace.dirty.attributes();
  // More are added behind while these are looked at.
  for (let at = 0; at < places.length; at += 1) {
    const place = places[at]!;
    const { name, event } = definitions.attributes[place]!;
    const isNews = adopts || !event || noteNews(place, workspace, definitions, base);
    if (isNews) fields.set(name, jsonOf(place, workspace, definitions));
  }
  return fields;
}

/** Whether an attribute over events has another value than before; if so, what reads it becomes dirty. */
function noteNews(
  place: number,
  { scope, dirty, states, positions }: Workspace,
  definitions: CompiledDefinitions,
  base: Calculated,
): boolean {
  const { event } = definitions.attributes[place]!;
  const position = positions[place]!;
  const before = position > 0 ? (base.states[position] as State) : undefined;
  const state = states[place];
  if (event?.aggregate.json) {
    if (before && state && event.aggregate.json(before) === event.aggregate.json(state)) return false;
    dirty.readers(place);
    return true;
  }
  const valueBefore = valueWith(before, place, definitions, base.asOfMs);
  const value = scope.attribute(place);
  if (value === valueBefore && (before === undefined) === (state === undefined)) return false;
  dirty.crossed(place, valueBefore, value);
  return true;
}

function valueWith(
  state: State | undefined,
  place: number,
  { attributes }: CompiledDefinitions,
  asOfMs: number,
): unknown {
  const { event, cost } = attributes[place]!;
  try {
    return event?.aggregate.value(state, asOfMs);
  } catch (error) {
    failed(cost, error);
    return undefined;
  }
}

/** Of attributes over events, where there is something to remember: most users had no such event ever. */
function jsonOf(
  place: number,
  { scope, states }: Workspace,
  { attributes }: CompiledDefinitions,
): string | undefined {
  const { event } = attributes[place]!;
  const state = states[place];
  if (event && state === undefined) return undefined;
  if (event?.aggregate.json) return event.aggregate.json(state!);
  const value = scope.attribute(place);
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}
