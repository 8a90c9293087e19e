/** Which Redis to open, by its URL. */
import { KeylineError } from "../../runtime/errors.ts";
import { hideCredentials } from "../../runtime/hide-credentials.ts";

export type RedisAddress = { host: string; port: number };

export type RedisTarget = {
  tls: boolean;
  username: string | undefined;
  password: string | undefined;
  /** The URL without its password, for the log. */
  description: string;
} & (
  | { kind: "single"; address: RedisAddress; database: number }
  | { kind: "sentinel"; sentinels: RedisAddress[]; masterName: string }
  | { kind: "cluster"; nodes: RedisAddress[] }
);

const pattern = /^(redis|rediss)(\+sentinel|\+cluster)?:\/\/(?:([^@/]*)@)?([^@/?#]+)(?:\/([^/?#]*))?$/;

/**
 * Reads `redis://[user:password@]host[:port][/database]`, `redis+cluster://host:port,host:port` and
 * `redis+sentinel://host:port,host:port/masterName`; `rediss` for TLS. User and password are percent-encoded.
 * @throws KeylineError `bad_redis_url`, quoting the URL without its password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const [, scheme, mode, userInfo = "", hosts = "", path = ""] = pattern.exec(url) ?? [];
  const description = hideCredentials(url);
  const bad = (why: string) => {
    const text = `bad Redis URL ${JSON.stringify(description)}: ${why}`;
    return new KeylineError("bad_redis_url", text, { value: description });
  };
  if (scheme === undefined) {
    throw bad(
      "expected redis://host:port, rediss://, redis+sentinel://host:port,…/masterName or redis+cluster://host:port,…",
    );
  }
  const addresses = hosts.split(",").map((host) => {
    const address = parseAddress(host, mode === "+sentinel" ? 26379 : 6379);
    if (address === undefined) throw bad(`${JSON.stringify(host)} is not host:port`);
    return address;
  });
  const [username, password] = credentials(userInfo, bad);
  const common = { tls: scheme === "rediss", username, password, description };
  if (mode === "+cluster") {
    if (path !== "") throw bad("a cluster has no databases");
    return { ...common, kind: "cluster", nodes: addresses };
  }
  if (mode === "+sentinel") {
    if (path === "")
      throw bad("the name of the master is missing, as in redis+sentinel://host:port/masterName");
    return { ...common, kind: "sentinel", sentinels: addresses, masterName: decodeURIComponent(path) };
  }
  if (addresses.length > 1) throw bad("several hosts need redis+sentinel:// or redis+cluster://");
  if (!/^\d{0,4}$/.test(path)) throw bad(`${JSON.stringify(path)} is not the number of a database`);
  return { ...common, kind: "single", address: addresses[0] as RedisAddress, database: Number(path) };
}

function credentials(
  userInfo: string,
  bad: (why: string) => Error,
): [string | undefined, string | undefined] {
  const colon = userInfo.indexOf(":");
  const parts = colon < 0 ? [userInfo] : [userInfo.slice(0, colon), userInfo.slice(colon + 1)];
  try {
    const [user, password] = parts.map(decodeURIComponent);
    return [user || undefined, password || undefined];
  } catch {
    throw bad("the user or password is not percent-encoded");
  }
}

function parseAddress(text: string, defaultPort: number): RedisAddress | undefined {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port ?? defaultPort) > 65_535) return undefined;
  return { host, port: Number(port ?? defaultPort) };
}
