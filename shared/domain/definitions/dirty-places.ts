import type { CompiledDefinitions } from "./compile.ts";
import type { Dependents } from "./dependents.ts";
import { type Readers, readersOf } from "./readers.ts";
import { firstFrom } from "./thresholds.ts";

const NO_READERS: Readers = { always: [], thresholds: new Float64Array(), audiences: new Int32Array() };

/** What one turn has to compute again, each once. Serves one turn after another. */
export class DirtyPlaces {
  readonly #definitions: CompiledDefinitions;
  readonly #attributeMarks: Uint32Array;
  readonly #audienceMarks: Uint32Array;
  /** Of each attribute over events. */
  readonly #readers: readonly Readers[];
  #turn = 0;
  #attributes: number[] = [];
  #audiences: number[] = [];

  constructor(definitions: CompiledDefinitions) {
    this.#definitions = definitions;
    this.#attributeMarks = new Uint32Array(definitions.attributes.length);
    this.#audienceMarks = new Uint32Array(definitions.audiences.length);
    this.#readers = definitions.attributes.map((attribute) =>
      attribute.event ? readersOf(attribute, definitions) : NO_READERS,
    );
  }

  /** Nothing is dirty. */
  clear(): void {
    if (this.#turn === 0xffffffff) {
      this.#attributeMarks.fill(0);
      this.#audienceMarks.fill(0);
      this.#turn = 0;
    }
    this.#turn += 1;
    this.#attributes = [];
    this.#audiences = [];
  }

  /** An attribute alone. */
  attribute(place: number): void {
    if (this.#attributeMarks[place] === this.#turn) return;
    this.#attributeMarks[place] = this.#turn;
    this.#attributes.push(place);
  }

  /** All that depends on an attribute over events. */
  readers(place: number): void {
    this.#dependents(this.#definitions.attributes[place]!.dependents);
  }

  /** To which it matters that an attribute over events has another value now. */
  crossed(place: number, before: unknown, after: unknown): void {
    if (typeof before !== "number" || typeof after !== "number") {
      this.readers(place);
      return;
    }
    for (const each of this.#definitions.attributes[place]!.dependents.attributes) this.attribute(each);
    const { always, thresholds, audiences } = this.#readers[place]!;
    for (const each of always) this.#markAudience(each);
    const last = Math.max(before, after);
    for (let at = firstFrom(thresholds, Math.min(before, after)); thresholds[at]! <= last; at += 1)
      this.#markAudience(audiences[at]!);
  }

  /** What depends on an attribute of the profile's own. */
  field(name: string): void {
    const dependents = this.#definitions.byField.get(name);
    if (dependents) this.#dependents(dependents);
  }

  audience(place: number): void {
    this.#markAudience(place);
    for (const each of this.#definitions.audiences[place]!.dependents) this.#markAudience(each);
  }

  all(): void {
    for (const place of this.#definitions.attributes.keys()) this.attribute(place);
    for (const place of this.#definitions.audiences.keys()) this.#markAudience(place);
  }

  /** Grows while more becomes dirty. */
  attributes(): readonly number[] {
    return this.#attributes;
  }

  /** Each after those that it reads. */
  audiences(): readonly number[] {
    const places = this.#audiences;
    for (let at = 1; at < places.length; at += 1)
      if (places[at - 1]! > places[at]!) return places.sort((a, b) => a - b);
    return places;
  }

  #dependents({ attributes, audiences }: Dependents): void {
    for (const each of attributes) this.attribute(each);
    for (const each of audiences) this.#markAudience(each);
  }

  #markAudience(place: number): void {
    if (this.#audienceMarks[place] === this.#turn) return;
    this.#audienceMarks[place] = this.#turn;
    this.#audiences.push(place);
  }
}
