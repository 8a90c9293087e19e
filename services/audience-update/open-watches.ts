import type { DocumentStore } from "../../shared/ports/document-store.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import type { Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import { type DefinitionWatch, startDefinitionWatch } from "./definition-watch.ts";
import { watchHotUserPolicies } from "./hot-user-policies.ts";
import { createHotUsers, type HotUsers } from "./hot-users.ts";
import { type LiveSettings, type LiveValues, startLiveSettings } from "./live-settings.ts";
import { warnOfState } from "./state-bound.ts";
import type { ConsumerSettings } from "./update-consumer.ts";

/** What a consumer goes by that others change while it runs. */
export type Watches = { definitions: DefinitionWatch; hotUsers: HotUsers; liveSettings: LiveSettings };

/** Starts to look for changes; `lifecycle` owns what looks. */
export function openWatches(
  lifecycle: Lifecycle,
  options: {
    definitionStore: DocumentStore;
    tenantStore: DocumentStore;
    settingsStore: DocumentStore;
    /** The name of this process. */
    consumer: string;
    settings: ConsumerSettings;
    /** Never before this function has returned. */
    onTuned(values: LiveValues): void;
    log: Log;
    now(): number;
  },
): Watches {
  const { definitionStore, tenantStore, settingsStore, consumer, settings, onTuned, log, now } = options;
  const failed = (what: string) => logRepeated(log, "error", `could not look for ${what}, it is tried again`);
  const definitions = startDefinitionWatch({
    store: definitionStore,
    consumer,
    onChange(tenant, version, compiled) {
      if (compiled instanceof KeylineError) {
        log.error({ tenant, version, code: compiled.code }, compiled.message);
        return;
      }
      log.info({ tenant, version }, `definitions of ${tenant}: version ${version}`);
      warnOfState(tenant, compiled, settings, log);
    },
    onError: failed("definitions"),
  });
  const policies = watchHotUserPolicies({
    tenantStore,
    onChange: (tenant, policy) => log.info({ tenant, policy: policy ?? null }, `hot users of ${tenant}`),
    onError: failed("tenants' policies for hot users"),
  });
  const liveSettings = startLiveSettings({
    ...{ store: settingsStore, started: settings, now },
    onChange(values, version) {
      log.info({ values, version }, `settings that were changed live: version ${version}`);
      onTuned(values);
    },
    onError: failed("changed settings"),
  });
  lifecycle.own("definitions", definitions);
  lifecycle.own("policies for hot users", policies);
  lifecycle.own("live settings", liveSettings);
  const hotUsers = createHotUsers({ policyOf: policies.of, now: () => performance.now() });
  return { definitions, hotUsers, liveSettings };
}
