/**
 * Services that give anyone an address for a while, without an account. Collected by hand from the services' own pages: those that
 * are best known, each by the domains it offers first. The thousands that change every week are for a blocklist (DNS_BLOCKLISTS).
 */
const DISPOSABLE = new Set(
  `10minutemail.com 10minutemail.net 20minutemail.com 33mail.com burnermail.io deadaddress.com discard.email discardmail.com
   dispostable.com emailfake.com emailondeck.com fakeinbox.com fakemail.net generator.email getairmail.com getnada.com
   grr.la guerrillamail.biz guerrillamail.com guerrillamail.de guerrillamail.info guerrillamail.net guerrillamail.org
   guerrillamailblock.com inboxkitten.com incognitomail.org jetable.org mail-temp.com mail.tm maildrop.cc mailcatch.com
   mailexpire.com mailinator.com mailinator.net mailnesia.com mailnull.com mailpoof.com mailsac.com minuteinbox.com
   mintemail.com moakt.com mohmal.com mytemp.email nada.email pokemail.net sharklasers.com spam4.me spamgourmet.com
   spamex.com temp-mail.io temp-mail.org tempail.com tempinbox.com tempmail.com tempmail.net tempmail.plus tempmailo.com
   tempr.email throwawaymail.com trash-mail.com trashmail.com trashmail.de trashmail.net wegwerfemail.de yopmail.com
   yopmail.fr yopmail.net`.split(/\s+/),
);

/** @param domain registrable, lower case. @returns whether anyone gets an address there without an account. */
export function isDisposable(domain: string): boolean {
  return DISPOSABLE.has(domain);
}
