import { describe, expect, test } from "vitest";
import { limitRate, networkOf } from "../../src/doors/rate-limit.ts";
import { Refused } from "../../src/errors.ts";

describe("whom a limit counts", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2"],
    ["2001:db8:1:2::", "2001:db8:1:2"],
    ["2001:db8::1", "2001:db8:0:0"],
    ["2001:db8::2:1", "2001:db8:0:0"],
    ["::1", "0:0:0:0"],
    ["::", "0:0:0:0"],
    ["::ffff:192.0.2.7", "0:0:0:0"],
    ["1::2:3:4:5:6:7", "1:0:2:3"],
    ["", ""],
    ["no address", "no address"],
  ])("%s is counted as %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  test("two addresses of one household are one, and of two households two", () => {
    expect(networkOf("2001:db8:1:2::1")).toBe(networkOf("2001:db8:1:2:aaaa::9"));
    expect(networkOf("2001:db8:1:2::1")).not.toBe(networkOf("2001:db8:1:3::1"));
  });
});

describe("a deployment without a limit", () => {
  test("limits nothing", async () => {
    await expect(limitRate({}, new Headers())).resolves.toBeUndefined();
  });
});

describe("a limit that is reached", () => {
  test("is a refusal that says when to try again", async () => {
    const asked: string[] = [];
    const RATE_LIMIT: RateLimit = {
      limit: async ({ key }) => {
        asked.push(key);
        return { success: false };
      },
    };
    const refusal = limitRate({ RATE_LIMIT }, new Headers({ "cf-connecting-ip": "2001:db8::1" }));
    await expect(refusal).rejects.toMatchObject({ refusal: { code: "rate_limited", detail: { retry_after: 60 } } });
    await expect(refusal).rejects.toBeInstanceOf(Refused);
    expect(asked).toEqual(["2001:db8:0:0"]);
  });
});
