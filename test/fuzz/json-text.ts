/** JSON as text that no JavaScript value has: numbers too large, keys that come twice, half a surrogate pair. */

/** Text that stands for a value as it is; it need not be JSON. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What is done to one part of a value. */
export type Damage = {
  /** Which part: the parts are counted from the whole on, and begin again after the last. */
  at: number;
  how: "replace" | "wrap" | "add" | "duplicate" | "remove";
  /** The name of a member that is added. */
  key: RawJson;
  value: RawJson;
};

/** The text of a value with its damages. */
export function writeDamaged(value: unknown, damages: readonly Damage[]): string {
  if (damages.length === 0) return write(value, new Map(), { next: 0 });
  const parts = countParts(value);
  const byPart = new Map(damages.map((damage) => [damage.at % parts, damage]));
  return write(value, byPart, { next: 0 });
}

function countParts(value: unknown): number {
  if (typeof value !== "object" || value === null || value instanceof RawJson) return 1;
  return Object.values(value).reduce<number>((count, member) => count + countParts(member), 1);
}

function write(value: unknown, damages: Map<number, Damage>, counter: { next: number }): string {
  const damage = damages.get(counter.next);
  counter.next += 1;
  if (damage?.how === "replace" || damage?.how === "remove") {
    // Its own parts are gone with it.
    counter.next += countParts(value) - 1;
    return damage.how === "replace" ? damage.value.text : "";
  }
  const text = writeWhole(value, damage, damages, counter);
  return damage?.how === "wrap" ? `[${text}]` : text;
}

function writeWhole(
  value: unknown,
  damage: Damage | undefined,
  damages: Map<number, Damage>,
  counter: { next: number },
): string {
  if (value instanceof RawJson) return value.text;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) {
    const items = value.map((item) => write(item, damages, counter)).filter((text) => text !== "");
    if (damage?.how === "add") items.push(damage.value.text);
    if (damage?.how === "duplicate") items.push(...items);
    return `[${items.join(",")}]`;
  }
  const members = Object.entries(value).flatMap(([name, member]) => {
    const text = write(member, damages, counter);
    return text === "" ? [] : [`${JSON.stringify(name)}:${text}`];
  });
  if (damage?.how === "add") members.push(`${damage.key.text}:${damage.value.text}`);
  const [first] = Object.keys(value);
  if (damage?.how === "duplicate" && first !== undefined)
    members.push(`${JSON.stringify(first)}:${damage.value.text}`);
  return `{${members.join(",")}}`;
}
