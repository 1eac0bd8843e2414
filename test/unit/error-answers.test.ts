import { describe, expect, test } from "vitest";
import { errorAnswer, refusalAnswer } from "../../src/doors/error-answers.ts";
import { ERROR_STATUS, type ErrorCode, Refused } from "../../src/errors.ts";

const held = {
  code: "held",
  error: "A human is asked first.",
  hint: "Repeat the call with approval_ref once they have approved it.",
  detail: { status: "pending", pending_id: "pend_1", expires_at: null },
} as const;

describe("what a human is asked first", () => {
  test("is answered with 202 and no error", async () => {
    const answer = refusalAnswer(held);
    expect(answer.status).toBe(202);
    expect(answer.headers.get("retry-after")).toBeNull();
    expect(await answer.json()).toEqual({
      status: "pending",
      pending_id: "pend_1",
      expires_at: null,
      hint: held.hint,
      message: held.error,
    });
  });

  test("is the same when it was thrown", async () => {
    const { code, error, ...rest } = held;
    const answer = errorAnswer(new Refused(code, error, rest), "try_it");
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({ status: "pending", message: error });
  });
});

describe.each(Object.entries(ERROR_STATUS).filter(([code]) => code !== "held") as [ErrorCode, number][])(
  "%s",
  (code, status) => {
    test(`is a ${status} that says its code and its sentence`, async () => {
      const answer = refusalAnswer({ code, error: "No.", detail: { status: "sent" } });
      expect(answer.status).toBe(status);
      expect(await answer.json()).toEqual({ status: "sent", code, error: "No." });
      expect(answer.headers.has("retry-after")).toBe(status === 429 || status === 503);
    });
  },
);
