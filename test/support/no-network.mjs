// Loaded before a program (`node --import`): whatever would reach beyond the process throws.
import { createRequire, syncBuiltinESMExports } from "node:module";

const require = createRequire(import.meta.url);
const WAYS_OUT = {
  net: ["connect", "createConnection", "createServer"],
  tls: ["connect", "createServer"],
  http: ["request", "get", "createServer"],
  https: ["request", "get", "createServer"],
  http2: ["connect", "createServer", "createSecureServer"],
  dgram: ["createSocket"],
  dns: [
    "lookup",
    "lookupService",
    "resolve",
    "resolve4",
    "resolve6",
    "resolveTxt",
    "resolveMx",
    "resolveAny",
    "reverse",
  ],
  "dns/promises": ["lookup", "lookupService", "resolve", "resolve4", "resolve6", "resolveTxt", "resolveMx", "reverse"],
  child_process: ["spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync", "fork"],
  worker_threads: ["Worker"],
};

function forbid(target, name, label) {
  target[name] = () => {
    throw new Error(`a way out of the process: ${label}`);
  };
}

for (const [module, names] of Object.entries(WAYS_OUT)) {
  const exports = require(module);
  for (const name of names) forbid(exports, name, `${module}.${name}`);
}
forbid(require("node:net").Socket.prototype, "connect", "Socket.connect");
for (const name of ["fetch", "WebSocket", "EventSource"]) forbid(globalThis, name, name);
syncBuiltinESMExports();
