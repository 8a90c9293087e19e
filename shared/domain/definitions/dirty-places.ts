import type { CompiledDefinitions } from "./compile.ts";
import type { Dependents } from "./dependents.ts";

/** What one turn has to compute again, each once. Serves one turn after another. */
export class DirtyPlaces {
  readonly #definitions: CompiledDefinitions;
  readonly #attributeMarks: Uint32Array;
  readonly #audienceMarks: Uint32Array;
  #turn = 0;
  #attributes: number[] = [];
  #audiences: number[] = [];

  constructor(definitions: CompiledDefinitions) {
    this.#definitions = definitions;
    this.#attributeMarks = new Uint32Array(definitions.attributes.length);
    this.#audienceMarks = new Uint32Array(definitions.audiences.length);
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

  /** An attribute over events, and all that depends on it. */
  attribute(place: number): void {
    if (this.#attributeMarks[place] === this.#turn) return;
    this.#markAttribute(place);
    this.#dependents(this.#definitions.attributes[place]!.dependents);
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
    for (const place of this.#definitions.attributes.keys()) this.#markAttribute(place);
    for (const place of this.#definitions.audiences.keys()) this.#markAudience(place);
  }

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
    for (const each of attributes) this.#markAttribute(each);
    for (const each of audiences) this.#markAudience(each);
  }

  #markAttribute(place: number): void {
    if (this.#attributeMarks[place] === this.#turn) return;
    this.#attributeMarks[place] = this.#turn;
    this.#attributes.push(place);
  }

  #markAudience(place: number): void {
    if (this.#audienceMarks[place] === this.#turn) return;
    this.#audienceMarks[place] = this.#turn;
    this.#audiences.push(place);
  }
}
