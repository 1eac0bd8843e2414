/** Domains as people type them, for the tests in Node and in workerd: both must read them alike. */

const LABEL_63 = "a".repeat(63);
/** @returns a domain of exactly `octets`. */
export function domainOf(octets: number): string {
  const labels = ["example"];
  for (let left = octets - "example".length; left > 0; ) {
    const length = Math.min(63, left - 1);
    // What is left must have room for a label and its dot.
    const taken = left - 1 - length === 1 ? length - 1 : length;
    labels.unshift("a".repeat(taken));
    left -= taken + 1;
  }
  return labels.join(".");
}

/** What is typed, and what is stored. */
export const READ_AS: readonly (readonly [typed: string, stored: string])[] = [
  ["customer.example", "customer.example"],
  ["agents.test", "agents.test"],
  ["mail.customer.example", "mail.customer.example"],
  ["a.b.c.customer.co.uk", "a.b.c.customer.co.uk"],
  ["alice.github.io", "alice.github.io"],
  ["Customer.EXAMPLE", "customer.example"],
  ["  customer.example\r\n", "customer.example"],
  ["\ufeffcustomer.example\u200b", "customer.example"],
  ["customer.example.", "customer.example"],
  [" customer.example. ", "customer.example"],
  ["3com.example", "3com.example"],
  ["123.example", "123.example"],
  ["ab--cd.example", "ab--cd.example"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["BÜCHER.example", "xn--bcher-kva.example"],
  ["bu\u0308cher.example", "xn--bcher-kva.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["XN--BCHER-KVA.example", "xn--bcher-kva.example"],
  ["faß.de", "xn--fa-hia.de"],
  ["例え。jp", "xn--r8jz45g.jp"],
  ["例え.jp。", "xn--r8jz45g.jp"],
  ["ｃｕｓｔｏｍｅｒ.example", "customer.example"],
  ["πρώτο.ελ", "xn--0xabdm3c.xn--qxam"],
  ["аррӏе.com", "xn--80ak6aa92e.com"],
  ["pаypal.com", "xn--pypal-4ve.com"],
  [`${LABEL_63}.example`, `${LABEL_63}.example`],
  [domainOf(193), domainOf(193)],
];

/** What is typed, a part of the refusal's sentence, and what its hint says. */
export const REFUSED_AS: readonly (readonly [typed: string, sentence: string, hint: string])[] = [
  ["", "empty", "such as customer.example"],
  ["   ", "empty", "such as"],
  [".", "empty label", "such as"],
  ["localhost", "one label", "localhost.example"],
  ["com", "one label", "com.example"],
  ["co.uk", "public suffix", "customer.co.uk"],
  ["github.io", "public suffix", "customer.github.io"],
  ["公司.cn", "public suffix", "customer.xn--55qx5d.cn"],
  ["*.customer.example", "wildcard", "only the domain: customer.example"],
  ["cust*mer.example", "wildcard", "such as"],
  ["192.0.2.1", "IP address", "such as"],
  ["１９２.0.2.1", "IP address", "such as"],
  ["192.0.2", "IP address", "such as"],
  ["0x7f.1", "IP address", "such as"],
  ["customer.0x10", "IP address", "such as"],
  ["2001:db8::1", "IP address", "such as"],
  ["fe80::1%eth0", "IP address", "such as"],
  ["::", "IP address", "such as"],
  ["[192.0.2.1]", "IP address", "such as"],
  ["[IPv6:2001:db8::1]", "IP address", "such as"],
  ["https://www.customer.example/contact", "web address", "only the domain: www.customer.example"],
  ["https://user:word@customer.example:8443/", "web address", "only the domain: customer.example"],
  ["//customer.example", "web address", "only the domain: customer.example"],
  ["customer.example/contact", "web address", "only the domain: customer.example"],
  ["customer.example?x", "web address", "only the domain: customer.example"],
  ["customer.example:25", "port", "only the domain: customer.example"],
  ["ada@customer.example", "e-mail address", "only the domain: customer.example"],
  ["Ada <ada@customer.example>", "e-mail address", "only the domain: customer.example"],
  ["@customer.example", "e-mail address", "only the domain: customer.example"],
  ["_dmarc.customer.example", "underscore", "only the domain: customer.example"],
  ["s1._domainkey.customer.example", "underscore", "only the domain: customer.example"],
  ["my_shop.example", "underscore", "such as"],
  ['"customer.example"', "quotation marks", "only the domain: customer.example"],
  ["<customer.example>", "quotation marks", "only the domain: customer.example"],
  ["customer example", "more than one word", "without spaces"],
  ["customer.example, other.example", "more than one word", "without spaces"],
  ["customer.\nexample", "more than one word", "without spaces"],
  ["customer..example", "empty label", "such as"],
  [".customer.example", "empty label", "such as"],
  ["customer.example..", "empty label", "such as"],
  ["-customer.example", "hyphen", "such as"],
  ["customer-.example", "hyphen", "such as"],
  ["xn--a.example", "internationalised", "xn--"],
  ["xn--zzzzzz99999.example", "internationalised", "xn--"],
  ["xn--abc-.example", "internationalised", "xn--"],
  ["xn--xn---epa.com", "internationalised", "xn--"],
  ["xn--bücher.example", "internationalised", "xn--"],
  ["a\u200db.example", "internationalised", "xn--"],
  ["cust\u00adomer.example", "characters", "such as"],
  ["customer\u0000.example", "characters", "such as"],
  ["custo%6der.example", "characters", "such as"],
  ["customer!.example", "characters", "such as"],
  ["\u202ecustomer.example", "characters", "such as"],
  ["☃.net", "characters", "such as"],
  ["xn--n3h.net", "internationalised", "xn--"],
  [`${"a".repeat(64)}.example`, "64 octets", "such as"],
  [`${"ü".repeat(60)}.example`, "octets", "such as"],
  [domainOf(194), "no room", "shorter"],
  [domainOf(253), "no room", "shorter"],
  [domainOf(254), "at most 253", "shorter"],
  ["a".repeat(100_000), "100000 characters", ""],
  ["printer.local", ".local", "such as"],
  ["customer.internal", ".internal", "such as"],
  ["2.0.192.in-addr.arpa", ".arpa", "such as"],
  ["customer.invalid", ".invalid", "such as"],
  ["customer.localhost", ".localhost", "such as"],
  ["expyuzz4wqqyqhjn.onion", ".onion", "such as"],
];

/** What is stored, and what people see. */
export const SHOWN_AS: readonly (readonly [stored: string, shown: string])[] = [
  ["customer.example", "customer.example"],
  ["xn--bcher-kva.example", "bücher.example"],
  ["mail.xn--r8jz45g.jp", "mail.例え.jp"],
];
