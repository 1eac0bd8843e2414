/** Acts as the person with the decision link would: opens the page and presses a button of its form. */

/** A page as a browser got it. */
export interface OpenedPage {
  status: number;
  url: string;
  html: string;
  /** Name and value pairs for the Cookie header. */
  cookies: string;
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

function decoded(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_all, name: string) => ENTITIES[name] ?? "");
}

function attribute(tag: string, name: string): string | null {
  const match = new RegExp(`\\s${name}\\s*=\\s*"([^"]*)"`, "i").exec(tag);
  return match ? decoded(match[1] ?? "") : null;
}

/** @returns the decision link in a notification's text. @throws Error if there is none. */
export function linkIn(text: string, baseUrl: string): string {
  const start = `${baseUrl}/v1/approve/`;
  const at = text.indexOf(start);
  const token = /^[A-Za-z0-9_-]+/.exec(text.slice(at + start.length))?.[0];
  if (at < 0 || !token) throw new Error("The notification holds no decision link.");
  return start + token;
}

/** Opens a page, as a person does, and as mail scanners do. */
export async function openPage(url: string): Promise<OpenedPage> {
  const response = await fetch(url);
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0] ?? "");
  return { status: response.status, url, html: await response.text(), cookies: cookies.join("; ") };
}

/** What the browser would send for the form that has a button `decision=<decision>`: where to, and every field. */
function formWith(page: OpenedPage, decision: string): { action: string; fields: URLSearchParams } {
  for (const [form] of page.html.matchAll(/<form\b[\s\S]*?<\/form>/gi)) {
    const fields = new URLSearchParams();
    let chosen = false;
    for (const [tag] of form.matchAll(/<(?:input|button|textarea)\b[^>]*>/gi)) {
      const name = attribute(tag, "name");
      const value = attribute(tag, "value") ?? "";
      if (name === "decision") {
        if (value === decision) chosen = true;
        else continue;
      }
      if (name !== null) fields.append(name, value);
    }
    if (chosen) return { action: new URL(attribute(form, "action") ?? "", page.url).href, fields };
  }
  throw new Error(`The page has no form with a button for "${decision}".`);
}

/** Presses the button. @returns the page that answers. */
export async function decideOn(page: OpenedPage, decision: "approve" | "reject", note = ""): Promise<OpenedPage> {
  const { action, fields } = formWith(page, decision);
  if (fields.has("note")) fields.set("note", note);
  const response = await fetch(action, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      origin: new URL(page.url).origin,
      ...(page.cookies !== "" && { cookie: page.cookies }),
    },
    body: fields.toString(),
  });
  return { status: response.status, url: action, html: await response.text(), cookies: page.cookies };
}
