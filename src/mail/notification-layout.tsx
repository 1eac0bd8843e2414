import type { Child, FC } from "hono/jsx";
import type { Fact } from "./notification-text.ts";

/**
 * The look of mail to people, in the HTML that mail programs understand: tables for structure, styles on the elements, no
 * images, nothing fetched. Every value is escaped by hono/jsx.
 */

const FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const INK = "color:#171b21";
const SOFT = "color:#545d69";
const WRAP = "overflow-wrap:anywhere;word-break:break-word";

export type Html = ReturnType<FC>;

/** @returns the mail's HTML, doctype included. @throws Error if a component is asynchronous: none of ours is. */
export function renderMail(mail: Html): string {
  const html = mail?.toString();
  if (typeof html !== "string") throw new Error("a mail's component is asynchronous");
  return `<!doctype html>\n${html}`;
}

/** Every mail: a card on a plain ground. `preview` is what inboxes show beside the subject. */
export const Mail: FC<{ title: string; preview: string; product_url: string; why: string; children?: Child }> = (
  props,
) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light" />
      <meta name="supported-color-schemes" content="light" />
      <meta name="format-detection" content="telephone=no, date=no, address=no, email=no" />
      <title>{props.title}</title>
    </head>
    <body style={`margin:0;padding:0;background:#f4f5f7;${FONT};${INK}`}>
      <div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{props.preview}</div>
      <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border={0} style="background:#f4f5f7">
        <tbody>
          <tr>
            <td align="center" style="padding:24px 12px">
              <table
                role="presentation"
                width="100%"
                cellpadding="0"
                cellspacing="0"
                border={0}
                style="max-width:600px"
              >
                <tbody>
                  <tr>
                    <td
                      style={`padding:0 8px 14px;${FONT};font-size:15px;font-weight:700;color:#0b6b43;text-align:left`}
                    >
                      MultiMail
                    </td>
                  </tr>
                  <tr>
                    <td style="background:#ffffff;border:1px solid #dcdfe4;border-radius:14px;padding:28px 24px;text-align:left">
                      <h1 style={`margin:0 0 8px;font-size:23px;line-height:1.25;${FONT};${INK};${WRAP}`}>
                        {props.title}
                      </h1>
                      {props.children}
                    </td>
                  </tr>
                  <tr>
                    <td
                      style={`padding:16px 8px 0;${FONT};font-size:13px;line-height:1.5;${SOFT};text-align:left;${WRAP}`}
                    >
                      {props.why} {sentBy(props.product_url)}
                    </td>
                  </tr>
                </tbody>
              </table>
            </td>
          </tr>
        </tbody>
      </table>
    </body>
  </html>
);

/** @returns who sent the mail, with the deployment's host where it is known. */
export function sentBy(url: string): string {
  return URL.canParse(url) ? `Sent by MultiMail at ${new URL(url).host}.` : "Sent by MultiMail.";
}

export const Paragraph: FC<{ soft?: boolean; small?: boolean; children?: Child }> = ({ soft, small, children }) => (
  <p style={`margin:0 0 16px;font-size:${small ? 14 : 16}px;line-height:1.5;${FONT};${soft ? SOFT : INK};${WRAP}`}>
    {children}
  </p>
);

/** One of several things in a mail. */
export const Heading: FC<{ children?: Child }> = ({ children }) => (
  <h2
    style={`margin:24px 0 8px;padding-top:20px;border-top:1px solid #dcdfe4;font-size:17px;line-height:1.35;${FONT};${INK};${WRAP}`}
  >
    <bdi>{children}</bdi>
  </h2>
);

/** Labels with their values, such as From, To and Subject. Values from outside keep their own direction. */
export const Facts: FC<{ facts: readonly Fact[] }> = ({ facts }) => (
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border={0} style="margin:0 0 16px">
    <tbody>
      {facts.map(([label, value]) => (
        <tr>
          <td valign="top" width="84" style={`padding:4px 12px 4px 0;font-size:14px;line-height:1.5;${FONT};${SOFT}`}>
            {label}
          </td>
          <td valign="top" style={`padding:4px 0;font-size:15px;line-height:1.5;${FONT};${INK};${WRAP}`}>
            <bdi>{value}</bdi>
          </td>
        </tr>
      ))}
    </tbody>
  </table>
);

/** Someone else's words, set apart from ours. */
export const Quoted: FC<{ text: string }> = ({ text }) => (
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border={0} style="margin:0 0 20px">
    <tbody>
      <tr>
        <td
          dir="auto"
          style={`padding:12px 16px;background:#f4f5f7;border-left:4px solid #8a93a0;font-size:15px;line-height:1.5;${FONT};${INK};white-space:pre-wrap;${WRAP}`}
        >
          {text}
        </td>
      </tr>
    </tbody>
  </table>
);

export const Alarm: FC<{ children?: Child }> = ({ children }) => (
  <p
    style={`margin:0 0 16px;padding:12px 14px;background:#fdeceb;border:1px solid #b3261e;border-left:5px solid #b3261e;border-radius:8px;font-size:15px;line-height:1.45;font-weight:600;${FONT};color:#7d130d`}
  >
    {children}
  </p>
);

/** The one thing to press. */
export const Button: FC<{ href: string; label: string }> = ({ href, label }) => (
  <table role="presentation" cellpadding="0" cellspacing="0" border={0} style="margin:0 0 16px">
    <tbody>
      <tr>
        <td align="center" bgcolor="#0b6b43" style="border-radius:10px;background:#0b6b43">
          <a
            href={href}
            style={`display:inline-block;padding:15px 28px;font-size:17px;line-height:1.2;font-weight:700;${FONT};color:#ffffff;text-decoration:none`}
          >
            {label}
          </a>
        </td>
      </tr>
    </tbody>
  </table>
);

export const PlainLink: FC<{ href: string }> = ({ href }) => (
  <a href={href} style="color:#0b57b8;overflow-wrap:anywhere">
    {href}
  </a>
);

/** A code to type, large and selectable. */
export const Code: FC<{ code: string }> = ({ code }) => (
  <p style="margin:0 0 16px;padding:16px;background:#f4f5f7;border-radius:10px;text-align:center;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:30px;line-height:1.2;font-weight:700;letter-spacing:4px;color:#171b21">
    {code}
  </p>
);
