/** @returns why nothing leaves from a domain, and what to do, in one sentence. */
export function brokenDomain(domain: string): string {
  return `The DNS records of ${domain} are broken, so its mail waits until they are mended; verify_domain_alignment says what is wrong.`;
}
