/** What is kept of definitions that were taken. */
import { isDeepStrictEqual } from "node:util";
import { WRONG_EXPRESSIONS } from "./arbitrary-expressions.ts";
import type { Answer } from "./subject.ts";

export type Client = (
  method: "GET" | "PUT",
  url: string,
  payload?: object,
  // biome-ignore lint/suspicious/noExplicitAny: answers are checked against their schemas already
) => Promise<{ status: number; body: any }>;

export type DefinitionSet = { attributes: Record<string, object>; audiences: Record<string, object> };
/** Whether it is said or left out that it is enabled is no change. */
const whole = (definition: object) => ({ enabled: true, ...definition });

type View = { name: string; definition: object };

/** @throws Error where what is kept is not what was put, or none by docs/definitions.md */
export async function checkSet(path: string, body: DefinitionSet, client: Client): Promise<void> {
  const kept = (await client("GET", path)).body as Record<keyof DefinitionSet, View[]>;
  for (const part of ["attributes", "audiences"] as const) {
    const found = Object.fromEntries(kept[part].map(({ name, definition }) => [name, whole(definition)]));
    const wanted = Object.entries(body[part]).map(([name, definition]) => [name, whole(definition)]);
    if (!isDeepStrictEqual(found, Object.fromEntries(wanted))) throw new Error(`${part} are kept as others`);
    for (const { name, definition } of kept[part]) checkRight(name, definition);
  }
}

/** @throws Error as `checkSet` */
export async function checkDefinition(
  path: string,
  body: object,
  answer: Answer,
  client: Client,
): Promise<void> {
  const said = JSON.parse(answer.body) as View;
  const kept = (await client("GET", path)).body as View;
  for (const { definition } of [said, kept])
    if (!isDeepStrictEqual(whole(definition), whole(body)))
      throw new Error(`is another: ${JSON.stringify(definition)}`);
  checkRight(kept.name, kept.definition);
}

/** Whatever it says, a user who was counted before can be read and explained. @throws Error */
export async function checkReads(definitionPath: string, userId: string, client: Client): Promise<void> {
  const [, tenant, audience] = /^(.*)\/(?:attributes|audiences\/(\w+))/.exec(definitionPath) ?? [];
  if (tenant === undefined) return;
  const user = `${tenant}/users/${encodeURIComponent(userId)}`;
  const paths = [user, ...(audience === undefined ? [] : [`${user}/explain?audience=${audience}`])];
  for (const path of paths) {
    const { status, body } = await client("GET", path);
    if (status !== 200) throw new Error(`${path} is not answered: ${JSON.stringify(body)}`);
  }
}

const wrong = new Set(WRONG_EXPRESSIONS);
const FIELDS = new Set([
  "event",
  "where",
  "aggregate",
  "of",
  "window",
  "limit",
  "derive",
  "rule",
  "description",
  "enabled",
]);

/** By docs/definitions.md, as far as it can be said without reading expressions. @throws Error */
function checkRight(name: string, definition: object): void {
  const { where, derive, rule, window, limit, event } = definition as Record<string, unknown>;
  const expression = where ?? derive ?? rule;
  const isOverEvents = typeof event === "string" && event.length > 0 && [...event].length <= 128;
  const isRight =
    /^[a-z][a-z0-9_]{0,63}$/.test(name) &&
    Object.keys(definition).every((field) => FIELDS.has(field)) &&
    (isOverEvents || typeof derive === "string" || typeof rule === "string") &&
    (expression === undefined || isExpression(expression)) &&
    (window === undefined || isWindow(window)) &&
    (limit === undefined || (Number.isInteger(limit) && Number(limit) >= 1 && Number(limit) <= 100));
  if (!isRight)
    throw new Error(`took what is no definition: ${name} ${JSON.stringify(definition).slice(0, 500)}`);
}

function isExpression(text: unknown): boolean {
  return typeof text === "string" && text.length > 0 && text.length <= 4_096 && !wrong.has(text);
}

const MINUTES = { m: 1, h: 60, d: 1_440, w: 10_080, y: 525_600 } as const;

function isWindow(text: unknown): boolean {
  const [, count, unit] = /^([1-9]\d*)([mhdwy])$/.exec(String(text)) ?? [];
  return unit !== undefined && Number(count) * MINUTES[unit as keyof typeof MINUTES] <= 10 * MINUTES.y;
}
