import { describe, expect, test } from "vitest";
import { chooseThread } from "../../src/mail/threading.ts";

const from = (address: string) => [{ name: null, address }];
const found = [
  { rfc_message_id: "<1@x>", thread_id: "thr_one", participants: ["ann@a.example", "agent@m.example"] },
  { rfc_message_id: "<2@x>", thread_id: "thr_two", participants: ["ANN@A.example", "bob@b.example"] },
  { rfc_message_id: "<3@x>", thread_id: "thr_three", participants: ["bob@b.example"] },
];

describe("an arriving message belongs to", () => {
  test.each([
    ["the thread it answers", "ann@a.example", ["<1@x>"], [], "thr_one"],
    ["the thread it refers to", "ann@a.example", [], ["<1@x>"], "thr_one"],
    ["the newest reference's thread", "ann@a.example", [], ["<1@x>", "<2@x>"], "thr_two"],
    ["what it answers before what it refers to", "ann@a.example", ["<1@x>"], ["<1@x>", "<2@x>"], "thr_one"],
    ["the newest thread its sender took part in", "ann@a.example", ["<3@x>"], ["<1@x>", "<3@x>"], "thr_one"],
    ["a new thread, from someone who took no part", "eve@e.example", ["<1@x>"], ["<1@x>", "<2@x>"], null],
    ["a new thread without references", "ann@a.example", [], [], null],
    ["a new thread for unknown references", "ann@a.example", ["<9@x>"], ["<8@x>"], null],
    ["a thread whatever the case of the domain", "ann@A.EXAMPLE", ["<1@x>"], [], "thr_one"],
  ])("%s", (_what, sender, in_reply_to, references, expected) => {
    expect(chooseThread({ in_reply_to, references, from: from(sender) }, found)).toBe(expected);
  });

  test("a new thread when nobody sent it", () => {
    expect(chooseThread({ in_reply_to: ["<1@x>"], references: [], from: [] }, found)).toBeNull();
  });

  test("its own thread where two carry the same Message-ID", () => {
    const decoy = { rfc_message_id: "<1@x>", thread_id: "thr_decoy", participants: ["eve@e.example"] };
    const message = { in_reply_to: ["<1@x>"], references: [], from: from("ann@a.example") };
    expect(chooseThread(message, [decoy, ...found])).toBe("thr_one");
  });
});
