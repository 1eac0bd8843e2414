declare module "mailauth/lib/dkim/dkim-signer.js" {
  import type { Writable } from "node:stream";

  export interface DkimHeader {
    /** Lower-case name. */
    key: string;
    /** The name as written; what `h=` says. */
    casedKey: string;
    /** The whole field, folded as it is. */
    line: Buffer;
  }

  export interface DkimHeaders {
    parsed: DkimHeader[];
    original: Buffer;
  }

  export interface DkimSignatureData {
    signingDomain: string;
    selector: string;
    privateKey: string;
    algorithm?: "rsa-sha256" | "ed25519-sha256";
  }

  /** Hashes the message written to it; once it has finished, `signatureHeaders` holds one folded line per signature. */
  export class DkimSigner extends Writable {
    constructor(options: {
      canonicalization?: string;
      signTime?: Date;
      strict?: boolean;
      headerList?: string | string[];
      signatureData: DkimSignatureData[];
    });
    headerList: string | false;
    signatureHeaders: string[];
    errors: { selector?: string; signingDomain?: string; err: Error }[];
    messageHeaders(headers: DkimHeaders): Promise<void>;
  }
}
