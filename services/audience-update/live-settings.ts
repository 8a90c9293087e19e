/**
 * The settings that operators change while consumers run: for all of them at once, in one document in the store. What is
 * not in it is as each process was started. While the store is away, what was known last goes on.
 */
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { changeDocument } from "../../shared/runtime/change-document.ts";
import { watchDocuments } from "../../shared/runtime/document-watch.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import { publisherSettings } from "../../shared/runtime/publisher-settings.ts";
import type { Setting, Values } from "../../shared/runtime/settings.ts";
import { consumerSettings } from "./settings.ts";

const { maxInFlightMessages, maxInFlightBytes, maxUserSharePercent, maxCacheBytes } = consumerSettings;
const { maxUpdatesPerTurn, maxUsersPerRound, maxRounds, ledgerCompletionsPerSecond } = consumerSettings;
const { bulkDelayMs } = publisherSettings;

/** Concurrency, memory and limits. */
export const changeableSettings = {
  ...{ maxRounds, maxUsersPerRound, maxUpdatesPerTurn },
  ...{ maxInFlightMessages, maxInFlightBytes, maxUserSharePercent, maxCacheBytes },
  ...{ bulkDelayMs, ledgerCompletionsPerSecond },
};
export type LiveValues = Values<typeof changeableSettings>;
export type LiveName = keyof LiveValues;
export const liveNames = Object.keys(changeableSettings) as LiveName[];

/** One change, as it is kept and told. */
export type SettingsChange = {
  atMs: number;
  name: string;
  reason: string;
  /** Null: back to what each process was started with. */
  settings: Partial<Record<LiveName, number | null>>;
};

type SettingsDocument = {
  settings: Partial<LiveValues>;
  /** Newest first. */
  changes: SettingsChange[];
};

export type LiveSettings = {
  /** What this process goes by. */
  values(): LiveValues;
  /** What it was started with. */
  started: LiveValues;
  /** The document as this process read it last. */
  current(): SettingsDocument & { version: number };
  /** @throws KeylineError `invalid_request` with path and value, `settings_busy`, `store_unavailable` */
  change(change: Omit<SettingsChange, "atMs">): Promise<void>;
  close(): Promise<void>;
};

const DOCUMENT = "consumers";
const MAX_CHANGES_KEPT = 100;

export function startLiveSettings(options: {
  store: DocumentStore;
  started: LiveValues;
  /** Others are in force, or the same again. */
  onChange(values: LiveValues, version: number): void;
  onError(error: unknown): void;
  /** Milliseconds since the epoch. */
  now(): number;
}): LiveSettings {
  const { store, onError, now } = options;
  const started = pick(options.started);
  let current: SettingsDocument & { version: number } = { version: 0, ...NOTHING };
  let values = started;

  function take(version: number, text: string): void {
    if (version === current.version) return;
    const document = readDocument(text);
    if (!document) {
      const message = "the settings in the store can't be read; those that were in force go on";
      onError(new KeylineError("settings_unreadable", message, { value: version }));
      return;
    }
    current = { version, ...document };
    values = { ...started, ...document.settings };
    options.onChange(values, version);
  }

  const watch = watchDocuments({
    ...{ store, what: "settings", onError },
    known: () => (current.version === 0 ? [] : [DOCUMENT]),
    onGone: () => {},
    onChanged(documents) {
      const stored = documents.get(DOCUMENT);
      if (stored) take(stored.version, stored.document);
    },
  });

  return {
    values: () => values,
    started,
    current: () => current,
    async change(given) {
      refuseWrong(given.settings);
      const next = ({ document }: { document: string }) => {
        const before = document === "" ? NOTHING : (readDocument(document) ?? NOTHING);
        return JSON.stringify(changed(before, { atMs: now(), ...given }));
      };
      if (!(await changeDocument(store, DOCUMENT, next, now))) {
        const message = "others changed the settings at the same time; they are as those left them";
        throw new KeylineError("settings_busy", message, { retryable: true });
      }
      await watch.refresh().catch(onError);
    },
    close: watch.close,
  };
}

const NOTHING: SettingsDocument = { settings: {}, changes: [] };

function changed({ settings, changes }: SettingsDocument, change: SettingsChange): SettingsDocument {
  const after = Object.entries({ ...settings, ...change.settings }).filter(([, value]) => value !== null);
  return {
    settings: Object.fromEntries(after) as Partial<LiveValues>,
    changes: [change, ...changes].slice(0, MAX_CHANGES_KEPT),
  };
}

/** @throws KeylineError `invalid_request` */
function refuseWrong(settings: SettingsChange["settings"]): void {
  for (const [name, value] of Object.entries(settings)) {
    const path = `settings.${name}`;
    const setting = settingOf(name);
    if (!setting) {
      const message = `${path}: can't be changed while consumers run; ${liveNames.join(", ")} can`;
      throw new KeylineError("invalid_request", message, { path, value });
    }
    const parsed = value === null ? undefined : setting.parse(String(value));
    if (parsed && "problem" in parsed)
      throw new KeylineError("invalid_request", `${path}: ${parsed.problem}`, { path, value });
  }
}

/** Undefined for what another build may have written; of its settings, those that are known and in bounds. */
function readDocument(text: string): SettingsDocument | undefined {
  try {
    const { settings, changes } = JSON.parse(text) as SettingsDocument;
    if (!Array.isArray(changes)) return undefined;
    const known = Object.entries(settings).filter(([name, value]) => {
      const setting = settingOf(name);
      return setting && "value" in setting.parse(String(value));
    });
    return { settings: Object.fromEntries(known) as Partial<LiveValues>, changes };
  } catch {
    return undefined;
  }
}

function settingOf(name: string): Setting<number> | undefined {
  return Object.hasOwn(changeableSettings, name) ? changeableSettings[name as LiveName] : undefined;
}

function pick(values: LiveValues): LiveValues {
  return Object.fromEntries(liveNames.map((name) => [name, values[name]])) as LiveValues;
}
