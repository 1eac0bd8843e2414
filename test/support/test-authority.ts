import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate authority for tests, and certificates of it. */
export interface TestAuthority {
  /** The authority's certificate, PEM. */
  authority: string;
  /** The authority's file, for NODE_EXTRA_CA_CERTS. */
  authority_file: string;
  /** For `localhost` and 127.0.0.1. */
  here: ServerCertificate;
  /** For `elsewhere.example` only: valid, but not for the name that a test connects to. */
  elsewhere: ServerCertificate;
  /** For `localhost` and 127.0.0.1, until yesterday. */
  expired: ServerCertificate;
  /** For `localhost` and 127.0.0.1, vouched for by itself alone. */
  self_signed: ServerCertificate;
}

/** PEM. */
export interface ServerCertificate {
  certificate: string;
  key: string;
}

/** DER (X.690): a tag, a length, the content. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...content: Uint8Array[]) => der(0x30, ...content);
const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const time = (date: Date) => der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
const commonName = (name: string) => sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(name)))));

const ECDSA_WITH_SHA256 = sequence(oid("2a8648ce3d040302"));
const DAY = 86_400_000;

function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([255]))] : []), der(0x04, value));
}

const AUTHORITY_NAME = "multimail test authority";
const AUTHORITY_EXTENSIONS = sequence(
  // basicConstraints: cA; keyUsage: keyCertSign.
  extension("551d13", true, sequence(der(0x01, Buffer.from([255])))),
  extension("551d0f", true, der(0x03, Buffer.from([2, 4]))),
);
/** GeneralName: a DNS name, an IP address. */
const dnsName = (name: string) => der(0x82, Buffer.from(name));
const LOOPBACK = der(0x87, Buffer.from([127, 0, 0, 1]));

interface Signee {
  name: string;
  publicKey: KeyObject;
  extensions: Uint8Array;
}

/** From when until when a certificate holds, in milliseconds. */
type Validity = [from: number, until: number];

/** RFC 5280 §4.1. @returns a certificate of the issuer, PEM. */
function certify(
  { name, publicKey, extensions }: Signee,
  [from, until]: Validity,
  issuerKey: KeyObject,
  issuer = AUTHORITY_NAME,
): string {
  const spki = publicKey.export({ type: "spki", format: "der" });
  const serial = createHash("sha256").update(spki).digest().subarray(0, 8);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  const certificate = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ECDSA_WITH_SHA256,
    commonName(issuer),
    sequence(time(new Date(from)), time(new Date(until))),
    commonName(name),
    spki,
    der(0xa3, extensions),
  );
  const signature = der(0x03, Buffer.from([0]), sign("sha256", certificate, issuerKey));
  const base64 = sequence(certificate, ECDSA_WITH_SHA256, signature).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, "$&\n").trim()}\n-----END CERTIFICATE-----\n`;
}

const SERVER_NAME = "multimail test server";

/** @param authorityKey null: it signs itself. */
function serverCertificate(names: Uint8Array[], authorityKey: KeyObject | null, validity: Validity): ServerCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const signee = {
    name: SERVER_NAME,
    publicKey,
    extensions: sequence(extension("551d11", false, sequence(...names))),
  };
  return {
    certificate: authorityKey
      ? certify(signee, validity, authorityKey)
      : certify(signee, validity, privateKey, SERVER_NAME),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** @returns this process's authority, made when first asked for and gone with the process. */
export function testAuthority(): TestAuthority {
  const folder = join(tmpdir(), `multimail-test-authority-${process.pid}`);
  const file = join(folder, "authority.json");
  if (!existsSync(file)) {
    const authority = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const now = Date.now();
    const own = { name: AUTHORITY_NAME, publicKey: authority.publicKey, extensions: AUTHORITY_EXTENSIONS };
    const valid: Validity = [now - DAY, now + 30 * DAY];
    const here = [dnsName("localhost"), LOOPBACK];
    const made: TestAuthority = {
      authority: certify(own, valid, authority.privateKey),
      authority_file: join(folder, "authority.pem"),
      here: serverCertificate(here, authority.privateKey, valid),
      elsewhere: serverCertificate([dnsName("elsewhere.example")], authority.privateKey, valid),
      expired: serverCertificate(here, authority.privateKey, [now - 3 * DAY, now - DAY]),
      self_signed: serverCertificate(here, null, valid),
    };
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(made.authority_file, made.authority);
    writeFileSync(file, JSON.stringify(made));
  }
  return JSON.parse(readFileSync(file, "utf8"));
}
