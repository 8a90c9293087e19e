/** An explanation in plain words, a line each. */
import { isDerived } from "./definitions/definition.ts";
import type { Explanation, NameExplained } from "./explain.ts";
import type { Condition, Gives } from "./explain-conditions.ts";
import type { EventsBehind } from "./explain-events.ts";
import type { TimeAlone } from "./explain-time.ts";

export function explainInWords(userId: string, explanation: Explanation): string[] {
  const { audience, member, enabled, rule, asOfMs, lastChange, conditions, names, byTimeAlone } = explanation;
  if (!enabled) return [`The audience ${audience} is disabled: nobody is evaluated for it.`];
  const since = lastChange?.atMs === undefined ? "" : ` since ${iso(lastChange.atMs)},`;
  return [
    `User ${userId} is ${member ? "in" : "not in"} ${audience}${since} as of ${iso(asOfMs)}.${lastChangeInWords(explanation)}`,
    `Its rule is: ${rule}`,
    ...whatItGives(explanation),
    ...whyNotYet(explanation),
    ...conditions.filter(saysMore).map(({ text, gives }) => `- ${text}: ${gave(gives)}`),
    ...names.map(ofName),
    ...(explanation.foldedWithVersion === explanation.definitionsVersion
      ? []
      : [
          `The user was last evaluated with version ${explanation.foldedWithVersion} of the definitions, which are of version ${explanation.definitionsVersion} now.`,
        ]),
    timeInWords(byTimeAlone),
  ];
}

function lastChangeInWords({ lastChange }: Explanation): string {
  if (!lastChange) return " The user never was.";
  const { number, cause } = lastChange;
  const done = number % 2 === 1 ? "entered" : "left";
  const by =
    cause === undefined
      ? ""
      : ` by ${cause.kind === "update" ? `update ${cause.id}` : cause.kind === "time" ? "time alone" : "a change of the definition"}`;
  return ` The user ${done} with change number ${number}${by}.`;
}

function whatItGives({ gives, conditions }: Explanation): string[] {
  if (!gives) return [];
  const deciding = conditions.filter(({ decides }) => decides);
  const reasons = deciding.map(({ text, gives: part }) =>
    part.computed ? `${text} is ${short(part.value)}` : `${text} cannot be computed`,
  );
  // A rule that is one condition says it itself.
  const because = conditions.length > 1 && reasons.length > 0 ? `, because ${listed(reasons)}` : "";
  return [gives.computed ? `Now it gives ${short(gives.value)}${because}.` : `Now it ${gave(gives)}.`];
}

function listed(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function whyNotYet({ member, gives, foldedWithVersion, definitionsVersion }: Explanation): string[] {
  if (!gives) return [];
  if (!gives.computed)
    return [
      gives.why.endsWith("no value")
        ? "A rule that can't be computed because a value is missing makes no member."
        : "The user stays what the user was while the rule can't be computed.",
    ];
  if ((gives.value === true) === member) return [];
  return [
    foldedWithVersion === definitionsVersion
      ? "The membership follows with the tick that is due."
      : "The membership follows with the user's next update or tick.",
  ];
}

/** Not a plain `true` that stands in the rule. */
function saysMore({ text, gives }: Condition): boolean {
  return !gives.computed || short(gives.value) !== text;
}

function gave(gives: Gives): string {
  return gives.computed ? short(gives.value) : `cannot be computed: ${gives.why}`;
}

function ofName({ name, kind, value, definition, reads, events, changesAtMs }: NameExplained): string {
  const is = value === null ? "has no value" : `is ${short(value)}`;
  const from = reads.length > 0 ? `, from ${reads.join(", ")}` : "";
  switch (kind) {
    case "audience":
      return `${name} is an audience that the user is ${value === true ? "in" : "not in"}${from}.`;
    case "profile":
      return `${name} ${is}: no definition, the profile's own.`;
    case "derived":
      return `${name} ${is}: ${definition && "derive" in definition ? definition.derive : ""}${from}.`;
    case "attribute": {
      if (!definition || !("event" in definition) || isDerived(definition)) return `${name} ${is}.`;
      const { aggregate, of, event, where, window } = definition;
      const what = `${aggregate}${of === undefined ? "" : ` of ${of}`} over ${event}`;
      const which = `${where === undefined ? "" : ` where ${where}`}${window === undefined ? "" : `, the last ${window}`}`;
      const next = changesAtMs === null ? "" : ` Time alone may change it at ${iso(changesAtMs)}.`;
      return `${name} ${is}: ${what}${which}.${events ? eventsInWords(events) : ""}${next}`;
    }
  }
}

function eventsInWords({ event, count, firstAtMs, lastAtMs, bucketMs, ofThisName }: EventsBehind): string {
  if (count === 0) {
    if (!ofThisName) return ` The user never had a ${event}.`;
    return ` None counts; of ${ofThisName.count} ${event} in all the last was at ${iso(ofThisName.lastAtMs)}.`;
  }
  const many = count === undefined ? "Its events" : `${count} event${count === 1 ? "" : "s"}`;
  const exactly = bucketMs === null ? "" : ` (give or take ${inUnits(bucketMs)})`;
  const since = firstAtMs === undefined ? "" : ` from ${iso(firstAtMs)}`;
  const until = lastAtMs === undefined ? "" : ` to ${iso(lastAtMs)}`;
  if (since + until !== "") return ` ${many}${since}${until}${exactly}.`;
  if (!ofThisName) return ` ${many}.`;
  return ` ${many}; the first ${event} of the user was at ${iso(ofThisName.firstAtMs)}, the last at ${iso(ofThisName.lastAtMs)}.`;
}

function inUnits(ms: number): string {
  for (const [unit, length] of UNITS)
    if (ms % length === 0) return `${ms / length} ${unit}${ms === length ? "" : "s"}`;
  return `${ms} ms`;
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

function timeInWords(time: TimeAlone): string {
  if (time.changes === "never") return "It never changes by time alone.";
  if (time.changes === "not before") return `By time alone it does not change before ${iso(time.atMs)}.`;
  return `By time alone the user is ${time.to} from ${iso(time.atMs)} on.`;
}

const MAX_SHOWN = 120;

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** Moments beyond what a date can be are shown as numbers. */
function iso(epochMs: number): string {
  return Math.abs(epochMs) <= 8.64e15 ? new Date(epochMs).toISOString() : String(epochMs);
}
