import { problemOfTokens } from "../../shared/http/operators.ts";
import { publisherConnectionSettings } from "../../shared/publish/connect-publisher.ts";
import { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { integer, text } from "../../shared/runtime/settings.ts";
import { MAX_REQUEST_BYTES } from "./limits.ts";

/** Where it listens. */
export const gatewayAddressSettings = {
  gatewayHost: text({ env: "GATEWAY_HOST", default: "0.0.0.0", meaning: "address of the gateway" }),
  gatewayPort: integer({
    env: "GATEWAY_PORT",
    default: "8091",
    unit: "port",
    min: 0,
    max: 65_535,
    meaning: "port of the gateway; 0 takes a free one",
  }),
};

/** What it takes. */
export const gatewayLimitSettings = {
  maxBodyBytes: integer({
    env: "MAX_BODY_BYTES",
    default: "67108864",
    unit: "bytes",
    min: MAX_REQUEST_BYTES,
    max: 17_179_869_184,
    meaning:
      "of the bodies of all requests that are under way in a gateway, unpacked; who comes beyond is told to come again",
  }),
  maxImportBytes: integer({
    env: "MAX_IMPORT_BYTES",
    default: "1073741824",
    unit: "bytes",
    min: 1_024,
    max: 1_099_511_627_776,
    meaning: "of a file that is uploaded to `/v1/imports`, unpacked",
  }),
};

export const gatewaySettings = {
  ...publisherConnectionSettings,
  // Where its tenants are; a publisher can do without.
  redisUrl: connectionSettings.redisUrl,
  ...gatewayAddressSettings,
  ...gatewayLimitSettings,
  adminToken: text({
    env: "ADMIN_TOKEN",
    secret: true,
    problemOf: problemOfTokens,
    meaning: "bearer token that may change tenants; `name=token,name=token` gives each operator their own",
  }),
};
