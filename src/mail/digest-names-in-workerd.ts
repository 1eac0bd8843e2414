import crypto from "node:crypto";

/**
 * Import this before mailauth. It names an RSA signature's digest `rsa-sha256`, an OpenSSL name that workerd's node:crypto does
 * not know; both know `sha256`, which means the same. In Node this changes nothing.
 */
const DIGESTS: Readonly<Record<string, string>> = { "rsa-sha256": "sha256", "rsa-sha1": "sha1" };

function digestName(name: unknown): unknown {
  return typeof name === "string" ? (DIGESTS[name.toLowerCase()] ?? name) : name;
}

function withKnownDigest<F extends (...parameters: never[]) => unknown>(original: F): F {
  return new Proxy(original, {
    apply: (target, self, [name, ...rest]) => Reflect.apply(target, self, [digestName(name), ...rest]),
  });
}

crypto.sign = withKnownDigest(crypto.sign);
crypto.verify = withKnownDigest(crypto.verify);
