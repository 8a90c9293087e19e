import { type Calculated, NOTHING_CALCULATED } from "./calculated.ts";
import type { Occurrence, State } from "./definitions/aggregate.ts";
import type { CompiledDefinitions } from "./definitions/compile.ts";
import { DirtyPlaces } from "./definitions/dirty-places.ts";
import { createScope, type Scope, withoutCosts } from "./definitions/scope.ts";
import type { Window } from "./definitions/window.ts";
import { EMPTY_PROFILE } from "./profile.ts";

/** Room for one turn at a time, so that a turn allocates little; `apply` is never under way twice. */
export class Workspace {
  readonly scope: Scope;
  readonly dirty: DirtyPlaces;
  /** Of attributes over events, by place. */
  readonly states: (State | undefined)[];
  /** Where the state of a place is in the profile's list; 0 for nowhere. */
  readonly positions: Int32Array;
  /** Places whose state is another one than before; some more than once. */
  readonly changed: number[] = [];
  /** Of the last change in each audience, by place. */
  readonly numbers: Float64Array;
  readonly occurrence: Occurrence = { t: 0, stamp: 0, bucket: 0, value: undefined, json: "" };
  /** The windows that there are, each with the places of its attributes. */
  readonly windows: readonly { window: Window; places: readonly number[] }[];
  /** Attributes without a window whose value time alone changes. */
  readonly timers: readonly number[];
  readonly #definitions: CompiledDefinitions;
  readonly #ofNobody: OfNobody;

  constructor(definitions: CompiledDefinitions) {
    this.#definitions = definitions;
    this.scope = createScope(definitions);
    this.dirty = new DirtyPlaces(definitions);
    this.states = new Array(definitions.attributes.length).fill(undefined);
    this.positions = new Int32Array(definitions.attributes.length);
    this.numbers = new Float64Array(definitions.audiences.length);
    this.#ofNobody = ofNobody(definitions);
    const windowOf = (place: number) => definitions.attributes[place]!.event?.window;
    const windowed = definitions.byTime.filter((place) => windowOf(place));
    const alike = Map.groupBy(
      windowed,
      (place) => `${windowOf(place)!.lengthMs} ${windowOf(place)!.bucketMs}`,
    );
    this.windows = [...alike.values()].map((places) => ({ window: windowOf(places[0]!)!, places }));
    this.timers = definitions.byTime.filter((place) => !windowOf(place));
  }

  begin(base: Calculated): void {
    this.states.fill(undefined);
    this.positions.fill(0);
    this.changed.length = 0;
    this.dirty.clear();
    readStates(base, this.#definitions, this.states, this.positions);
    this.numbers.fill(0);
    readNumbers(base, this.#definitions, this.numbers);
  }

  /** For a user's first turn: what is so without any update. The rest becomes dirty by what the updates change. */
  beginNewUser(): void {
    this.begin(NOTHING_CALCULATED);
    for (const place of this.#ofNobody.attributes) this.dirty.attribute(place);
    for (const place of this.#ofNobody.audiences) this.dirty.audience(place);
  }
}

/** Derived attributes that have a value, and audiences that somebody may be in, of whom there is no update. */
type OfNobody = { attributes: readonly number[]; audiences: readonly number[] };

function ofNobody(definitions: CompiledDefinitions): OfNobody {
  const scope = createScope(withoutCosts(definitions));
  scope.look({ profile: EMPTY_PROFILE, asOfMs: 0, states: [], numbers: [] });
  const { attributes, audiences } = definitions;
  return {
    attributes: [...attributes.keys()].filter(
      (place) => attributes[place]!.derive && scope.attribute(place) !== undefined,
    ),
    audiences: [...audiences.keys()].filter((place) => scope.isMember(place) !== false),
  };
}

const WORKSPACES = new WeakMap<CompiledDefinitions, Workspace>();

export function workspaceOf(definitions: CompiledDefinitions): Workspace {
  const known = WORKSPACES.get(definitions);
  if (known) return known;
  const workspace = new Workspace(definitions);
  WORKSPACES.set(definitions, workspace);
  return workspace;
}

/** Puts what is kept of attributes over events into the places of these definitions; what they lack is left out. */
export function readStates(
  { states }: Calculated,
  { slots, attributeOfSlot }: CompiledDefinitions,
  into: (State | undefined)[],
  positions?: Int32Array,
): void {
  let next = 0;
  for (let at = 0; at < states.length; at += 2) {
    const slot = states[at] as number;
    // Most often they are in the order of places, without gaps.
    const place = slots[next] === slot ? next : attributeOfSlot.get(slot);
    if (place === undefined) continue;
    into[place] = states[at + 1] as State;
    if (positions) positions[place] = at + 1;
    next = place + 1;
  }
}

export function readNumbers(
  { numbers }: Calculated,
  { audienceOfSlot }: CompiledDefinitions,
  into: { [place: number]: number },
): void {
  for (let at = 0; at < numbers.length; at += 2) {
    const place = audienceOfSlot.get(numbers[at]!);
    if (place !== undefined) into[place] = numbers[at + 1]!;
  }
}
