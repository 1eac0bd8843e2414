import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { createApp } from "../../src/doors/app.ts";
import { request } from "../support/door-harness.ts";

/** The page /verify at its door. What it does in a browser is `test/browser/verify-page.test.ts`. */

const app = createApp({ now: Date.now });

/** The directives of an answer's policy, by name. */
function policyOf(response: Response): Record<string, string> {
  const directives = (response.headers.get("content-security-policy") ?? "").split("; ");
  return Object.fromEntries(directives.map((text) => [text.split(" ")[0], text.split(" ").slice(1).join(" ")]));
}

describe("the page", () => {
  test("runs its own script and no other, sends no form, and reaches the published keys of its own origin alone", async () => {
    const policy = policyOf(await request("/verify"));
    const { "style-src": style, ...others } = policy;
    expect(style).toMatch(/^'sha256-[A-Za-z0-9+/=]+' 'sha256-[A-Za-z0-9+/=]+'$/);
    expect(others).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "connect-src": "https://mail.test/v1/identity/public-key https://mail.test/v1/identity/pubkey/",
      "require-trusted-types-for": "'script'",
      "trusted-types": "'none'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
      "base-uri": "'none'",
    });
  });

  test("is for everyone, names no secret, and is kept by nobody", async () => {
    const response = await request("/verify");
    expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const html = await response.text();
    expect(html).toContain("npx multimail verify message.eml --key key.pem");
    expect(html).not.toContain(env.MASTER_KEY);
    // No script stands in the page itself: its policy would refuse it.
    expect(html.match(/<script[^>]*>[^<]*/g)).toEqual([
      expect.stringMatching(/^<script type="module" src="\/verify\/verifier\.js\?[0-9a-f]{16}">$/),
    ]);
  });

  test("a host name cannot add to its policy", async () => {
    const evil = new Request("https://x.example;script-src-elem/verify");
    const policy = policyOf(await app.fetch(evil, env));
    expect([policy["connect-src"], policy["script-src"]]).toEqual(["'none'", "'self'"]);
  });
});

describe("its script", () => {
  test("is JavaScript, and is kept for good under its own version only", async () => {
    const [path = ""] = /\/verify\/verifier\.js\?[0-9a-f]{16}/.exec(await (await request("/verify")).text()) ?? [];
    for (const [address, caching] of [
      [path, "public, max-age=31536000, immutable"],
      ["/verify/verifier.js", "no-cache"],
      ["/verify/verifier.js?0123456789abcdef", "no-cache"],
    ] as const) {
      const response = await request(address);
      expect([response.status, response.headers.get("cache-control")]).toEqual([200, caching]);
      expect(response.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    }
  });
});

test.each(["/verify", "/verify/verifier.js"])("%s is read and nothing else", async (path) => {
  expect((await request(path, { method: "HEAD" })).status).toBe(200);
  for (const method of ["POST", "PUT", "DELETE"]) {
    const response = await request(path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    await response.text();
  }
});
