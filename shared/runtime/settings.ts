import { KeylineError } from "./errors.ts";
import { hideCredentials } from "./hide-credentials.ts";
import { problemOfUrls, splitUrls } from "./url-list.ts";

/**
 * One setting: an environment variable with its type, default, unit and meaning. `--help`, the documents'
 * tables and the check at start are all made from it.
 */
export type Setting<T> = {
  env: string;
  /** The value of a text, or why it is none. */
  parse(text: string): { value: T } | { problem: string };
  /** As it would stand in the environment; undefined when the setting is required. */
  default: string | undefined;
  /** What the text is: `ms`, `bytes`, `URL`, `text`. */
  unit: string;
  meaning: string;
  /** Never quoted whole. */
  secret: boolean;
  /**
   * Other settings, by their `env`: where these are declared too, its number must be greater than so many times
   * theirs. Times are compared as such, whatever their units.
   */
  longerThan: Readonly<Record<string, number>>;
};

export type Settings = Record<string, Setting<unknown>>;
export type Values<S extends Settings> = { [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

type Declared = { env: string; meaning: string; default?: string; secret?: boolean };

function declare<T>(
  unit: string,
  { env, meaning, secret = false, ...rest }: Declared,
  parse: Setting<T>["parse"],
): Setting<T> {
  return { env, meaning, unit, default: rest.default, secret, longerThan: {}, parse };
}

export function integer(
  declared: Declared & {
    unit: string;
    min: number;
    max?: number;
    longerThan?: Setting<number>["longerThan"];
  },
): Setting<number> {
  const { min, max = Number.MAX_SAFE_INTEGER, longerThan = {} } = declared;
  const setting = declare(declared.unit, declared, (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) return { problem: "is not a whole number" };
    if (value < min || value > max) return { problem: `is not from ${min} to ${max}` };
    return { value };
  });
  return { ...setting, longerThan };
}

/** A text, empty only where the default is. */
export function text(
  declared: Declared & { pattern?: RegExp; form?: string; problemOf?: (value: string) => string | undefined },
): Setting<string> {
  const {
    pattern = /./su,
    form = "a text that is not empty",
    problemOf = (value) => (pattern.test(value) ? undefined : `is not ${form}`),
  } = declared;
  return declare("text", declared, (value) => {
    const problem = value === declared.default ? undefined : problemOf(value);
    return problem === undefined ? { value } : { problem };
  });
}

export function choice<T extends string>(declared: Declared & { choices: readonly T[] }): Setting<T> {
  return declare(declared.choices.join(" \\| "), declared, (value) => {
    const found = declared.choices.find((name) => name === value);
    return found === undefined
      ? { problem: `is not one of ${declared.choices.join(", ")}` }
      : { value: found };
  });
}

/** A URL of one of the schemes (without colon); the adapter checks the rest. */
export function url(declared: Declared & { schemes: readonly string[] }): Setting<string> {
  return declare("URL", declared, (value) => {
    const problem = value === declared.default ? undefined : problemOfScheme(value, declared.schemes);
    return problem === undefined ? { value } : { problem };
  });
}

/** Such URLs, one or several, separated by commas; each names another thing, and ends with `end`. */
export function urls(declared: Declared & { schemes: readonly string[]; end?: string }): Setting<string> {
  return declare("URLs", declared, (value) => {
    if (value === declared.default) return { value };
    const given = splitUrls(value);
    const { end = "" } = declared;
    const problems = given.map(
      (each) =>
        problemOfScheme(each, declared.schemes) ??
        (each.endsWith(end) ? undefined : `does not end with ${end}`),
    );
    const problem = problemOfUrls(value) ?? problems.find((each) => each !== undefined);
    return problem === undefined ? { value: given.join(",") } : { problem };
  });
}

function problemOfScheme(value: string, schemes: readonly string[]): string | undefined {
  const scheme = value.slice(0, Math.max(0, value.indexOf("://")));
  if (schemes.includes(scheme)) return undefined;
  return `does not start with ${schemes.map((name) => `${name}://`).join(", ")}`;
}

/** The number of a setting, times in milliseconds, and its text as it may be printed. */
type Read = { amount: number; text: string };

const MS_OF_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, hours: 3_600_000, days: 86_400_000 };

/**
 * Reads all settings from an environment. Throws one KeylineError `bad_settings` that names every setting
 * that is missing, wrong or contradicts another one, and quotes its value (of a secret, only its length).
 */
export function readSettings<S extends Settings>(settings: S, env: NodeJS.ProcessEnv): Values<S> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  const read = new Map<string, Read>();
  for (const [name, setting] of Object.entries(settings)) {
    const given = env[setting.env];
    const text = given === undefined || given === "" ? setting.default : given;
    if (text === undefined) {
      problems.push(`${setting.env} is required (${setting.unit}): ${setting.meaning}`);
      continue;
    }
    const parsed = setting.parse(text);
    if ("value" in parsed) {
      values[name] = parsed.value;
      const amount = Number(parsed.value) * (MS_OF_UNIT[setting.unit] ?? 1);
      read.set(setting.env, { amount, text: shown(setting, text) });
    } else problems.push(`${setting.env}=${shown(setting, text)} ${parsed.problem}`);
  }
  for (const setting of Object.values(settings)) problems.push(...contradictions(setting, read));
  if (problems.length > 0) throw new KeylineError("bad_settings", problems.join("\n"), { value: problems });
  return values as Values<S>;
}

/** As `readSettings`, where what the program itself gives stands above the environment. */
export function settingsFrom<S extends Settings>(
  settings: S,
  given: Partial<Values<S>>,
  env: NodeJS.ProcessEnv,
): Values<S> {
  const merged = { ...env };
  for (const [name, value] of Object.entries(given)) {
    const setting = settings[name];
    if (!setting) throw new KeylineError("bad_settings", `${name} is no setting`, { path: name, value });
    if (value !== undefined) merged[setting.env] = String(value);
  }
  return readSettings(settings, merged);
}

function contradictions({ env, longerThan }: Setting<unknown>, read: ReadonlyMap<string, Read>): string[] {
  const own = read.get(env);
  return Object.entries(longerThan).flatMap(([otherEnv, times]) => {
    const other = read.get(otherEnv);
    if (!own || !other || own.amount > times * other.amount) return [];
    return [
      `${env}=${own.text} is not longer than ${times === 1 ? "" : `${times} times `}${otherEnv}=${other.text}`,
    ];
  });
}

/** A value as it may be printed: a secret, and the credentials within a URL, are not. */
function shown(setting: Setting<unknown>, text: string): string {
  if (setting.secret) return `(${text.length} characters)`;
  // One that is no URL may have a password all the same.
  const isBroken = setting.unit.startsWith("URL") && !text.includes("//");
  return JSON.stringify(isBroken ? text.replace(/.*@/s, "***@") : hideCredentials(text));
}

/** The settings as rows of a Markdown table. */
export function settingsTable(settings: Settings): string {
  const rows = Object.values(settings).map((setting) => {
    const value =
      setting.default === undefined ? "required" : setting.default === "" ? "" : `\`${setting.default}\``;
    return `| \`${setting.env}\` | ${value} | ${setting.unit} | ${setting.meaning} |`;
  });
  return ["| setting | default | unit | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

/** The settings as plain text for `--help`. */
export function settingsHelp(settings: Settings): string {
  return Object.values(settings)
    .map((setting) => {
      const value = setting.default === undefined ? "required" : `default ${setting.default || "none"}`;
      return `  ${setting.env}  (${setting.unit.replaceAll("\\", "")}, ${value})\n      ${setting.meaning}`;
    })
    .join("\n");
}
