/** The parts of mailauth 7 that ship without types, as far as they are used here. */

declare module "mailauth/lib/dkim/dkim-verifier.js" {
  import type { Writable } from "node:stream";
  import type { ARCData, DKIMResult, DKIMVerifyOptions } from "mailauth";

  export interface ParsedHeaders {
    parsed: { key: string; casedKey: string; line: Buffer }[];
    original: Buffer;
  }

  /** Takes a message as it streams by and judges its signatures when it ends. */
  export class DkimVerifier extends Writable {
    constructor(options: DKIMVerifyOptions);
    /** Called once, with the header section, before any of the body. */
    messageHeaders(headers: ParsedHeaders): Promise<void>;
    readonly results: DKIMResult[];
    readonly headerFrom: string[];
    readonly fromFields: number;
    readonly headers: ParsedHeaders | false;
    readonly arc: ARCData;
  }
}

declare module "mailauth/lib/tools.js" {
  /** Splits a header section into its fields; folded lines stay with theirs. */
  export function parseHeaders(header: Buffer): { parsed: { key: string; casedKey: string; line: Buffer }[] };
  /** @returns the first of `domains` that has the organizational domain of `fromDomain`, or false. */
  export function getAlignment(fromDomain: string, domains: string[], strict?: boolean): { domain: string } | false;
}
